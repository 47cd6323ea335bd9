//! What drill files last said that could be used.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{require, text};
use crate::history::{History, files::Said};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let file = |number: u64| PathBuf::from(format!("/drills/{number}.yaml"));
    // Neither a path nor a text need be what a database takes for one.
    let odd: PathBuf = OsStr::from_bytes(b"/drills/\xff.yaml").into();
    let mut said: Vec<Said> = (0..9)
        .map(|number| Said {
            file: file(number),
            digest: u64::MAX - number,
            text: format!("ü {number}"),
        })
        .collect();
    said[8].file.clone_from(&odd);
    said[8].text.push('\0');
    history.note_files(&[]).await.map_err(text)?;
    history.note_files(&said).await.map_err(text)?;
    let expected: Vec<_> = said
        .iter()
        .map(|one| (one.file.clone(), one.digest))
        .collect();
    require(
        noted(history).await? == expected,
        "files are noted otherwise",
    )?;
    require(
        says(history, &odd).await?.as_ref() == Some(&said[8].text),
        "a text is noted otherwise",
    )?;

    said[3].digest = 7;
    "other".clone_into(&mut said[3].text);
    history.note_files(&said[3..5]).await.map_err(text)?;
    let gone = [file(0), file(100)];
    history.forget_files(&gone).await.map_err(text)?;
    let left = noted(history).await?;
    require(
        left.len() == 8 && left[2] == (file(3), 7),
        "a file that is noted again has two texts, or one that is forgotten has one",
    )?;
    require(
        says(history, &file(3)).await?.as_deref() == Some("other")
            && says(history, &file(4)).await? == Some(said[4].text.clone())
            && says(history, &file(0)).await?.is_none(),
        "what a file said is told after it said something else",
    )
}

/// All of them, a few at a time.
async fn noted(history: &dyn History) -> Result<Vec<(PathBuf, u64)>, String> {
    let mut all: Vec<(PathBuf, u64)> = Vec::new();
    loop {
        let after = all.last().map(|(file, _)| file.as_path());
        let some = history.noted_files(after, 4).await.map_err(text)?;
        require(some.len() <= 4, "there are more than were asked for")?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

async fn says(history: &dyn History, file: &Path) -> Result<Option<String>, String> {
    history.noted_file(file).await.map_err(text)
}
