//! What drill files say is noted in the history, so that one that is broken when a
//! service begins keeps its drills, too. That is read only where a file is broken then,
//! and written only when it changes. No secret comes into the history with it:
//! drill files only say where secrets are.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    catalog::{self, Catalog, Digests},
    history::{History, files::Said},
    runner::store::StoreError,
    spec,
};

/// So many are asked for at once.
const PAGE: u32 = 500;

/// So many are written at once, and so many bytes of them, or one more.
const MOST_FILES: usize = 100;
const MOST_BYTES: usize = 1 << 20;

/// Reads drill files for the first time. What is broken says what was noted of it,
/// which may break another file: two would have the same drill.
pub(super) async fn read_first(
    history: &dyn History,
    places: &[PathBuf],
) -> Result<(Catalog, Digests), StoreError> {
    let mut before = Catalog::default();
    let mut asked = BTreeSet::new();
    loop {
        let (read, digests) = before.read_anew(places);
        let broken = read.broken().keys().cloned();
        let broken: BTreeSet<PathBuf> = broken.filter(|file| !asked.contains(file)).collect();
        if broken.is_empty() {
            return Ok((read, digests));
        }
        // Of a folder that cannot be read, all that was in it.
        let within = |file: &Path| file.ancestors().any(|part| broken.contains(part));
        let mut held = Vec::new();
        each_noted(history, |file, _| {
            held.extend(within(&file).then_some(file));
        })
        .await?;
        for file in held {
            hold(history, &mut before, file).await?;
        }
        asked.extend(broken);
    }
}

async fn hold(
    history: &dyn History,
    before: &mut Catalog,
    file: PathBuf,
) -> Result<(), StoreError> {
    let Some(text) = history.noted_file(&file).await? else {
        return Ok(());
    };
    let shown = file.display().to_string();
    match before.hold(file, &text) {
        Ok(()) => tracing::warn!(file = shown, "what a broken drill file said is known"),
        Err(error) => {
            let message = "what a broken drill file said cannot be used either";
            tracing::error!(file = shown, error, "{message}");
        }
    }
    Ok(())
}

/// What is still to be noted of drill files.
pub(super) struct ToNote {
    /// Those that can be used.
    pub digests: Digests,
    /// Those that went while this process looked. Of others nobody knows: they may be
    /// those of another service, which has other files.
    pub gone: Vec<PathBuf>,
}

/// Notes what drill files say, where that is not noted yet, and forgets those that are
/// gone. What is done is taken from `to_note`.
pub(super) async fn note(history: &dyn History, to_note: &mut ToNote) -> Result<(), StoreError> {
    let ToNote { digests, gone } = to_note;
    history.forget_files(gone).await?;
    let forgotten = std::mem::take(gone).len();
    each_noted(history, |file, digest| {
        if digests.get(&file) == Some(&digest) {
            digests.remove(&file);
        }
    })
    .await?;
    let mut files = 0;
    loop {
        let some = texts(digests);
        if some.is_empty() {
            break;
        }
        if let Err(error) = history.note_files(&some).await {
            digests.extend(some.into_iter().map(|said| (said.file, said.digest)));
            return Err(error);
        }
        files += some.len();
    }
    if files > 0 || forgotten > 0 {
        tracing::info!(files, forgotten, "noted what drill files say");
    }
    Ok(())
}

/// Takes some of these files; gives what they say. One that has changed since it was
/// read is left out: it is read again soon, and perhaps it is broken now.
fn texts(files: &mut Digests) -> Vec<Said> {
    let (mut some, mut bytes) = (Vec::new(), 0);
    while bytes < MOST_BYTES && some.len() < MOST_FILES {
        let Some((file, digest)) = files.pop_first() else {
            break;
        };
        let text = spec::text_of(&file).ok();
        let unchanged = text.filter(|text| catalog::digest(text) == digest);
        some.extend(unchanged.map(|text| {
            bytes += text.len();
            Said { file, digest, text }
        }));
    }
    some
}

/// Goes through the files that are noted, each with its digest.
async fn each_noted(
    history: &dyn History,
    mut look: impl FnMut(PathBuf, u64),
) -> Result<(), StoreError> {
    let mut after: Option<PathBuf> = None;
    loop {
        let some = history.noted_files(after.as_deref(), PAGE).await?;
        let Some((last, _)) = some.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (file, digest) in some {
            look(file, digest);
        }
    }
}
