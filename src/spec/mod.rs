//! What users write: parsed and validated once, into [`drill::Drill`].
//!
//! A file goes through three passes, and each collects all its errors: the
//! YAML becomes a tree that knows where everything stands (`tree`), the tree
//! is read by the shape that the JSON schema of [`raw`] gives (`shape`), and
//! what was read is checked for sense (`validate`).

pub mod drill;
pub mod duration;
mod error;
mod expect;
mod hint;
pub mod packed;
pub mod raw;
pub mod schema;
mod shape;
mod tree;
mod validate;

use std::path::Path;

pub use error::{SpecError, SpecErrors};

use drill::Drill;
use error::Place;

/// The largest drill file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads the one drill in `text`. Relative paths in it are taken from the
/// folder of `origin`.
pub fn parse(text: &str, origin: &Path) -> Result<Drill, SpecErrors> {
    let mut drills = parse_all(text, origin)?;
    let count = drills.len();
    match drills.pop() {
        Some(drill) if count == 1 => Ok(drill),
        _ => Err(whole_file(
            origin,
            &format!("the file holds {count} drills where one is wanted"),
        )),
    }
}

/// Reads every drill of a file with one or several documents, divided by
/// `---`. Names must differ. Empty documents are passed over.
pub fn parse_all(text: &str, origin: &Path) -> Result<Vec<Drill>, SpecErrors> {
    if text.len() > MAX_BYTES {
        return Err(whole_file(origin, "the file is larger than 1 MiB"));
    }
    let mut errors = Vec::new();
    let roots = tree::read(text, origin, &mut errors);
    if roots.is_empty() && errors.is_empty() {
        return Err(whole_file(origin, "the file holds no drill"));
    }
    let mut drills: Vec<Drill> = Vec::new();
    for root in &roots {
        let reading = shape::read(root, origin, &mut errors);
        let Some(drill) = reading.and_then(|r| validate::drill(r, origin, &mut errors)) else {
            continue;
        };
        if drills.iter().any(|other| other.name == drill.name) {
            errors.push(SpecError::new(
                origin,
                root.place,
                "metadata.name",
                format!("the file holds two drills named `{}`", drill.name),
            ));
        }
        drills.push(drill);
    }
    SpecErrors::from_list(errors).map_or(Ok(drills), Err)
}

/// Reads the one drill in the file at `path`.
pub fn read(path: &Path) -> Result<Drill, SpecErrors> {
    parse(&text_of(path)?, path)
}

/// Reads every drill in the file at `path`.
pub fn read_all(path: &Path) -> Result<Vec<Drill>, SpecErrors> {
    parse_all(&text_of(path)?, path)
}

/// Reads the text of a drill file.
pub fn text_of(path: &Path) -> Result<String, SpecErrors> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is too much.
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| whole_file(path, &format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_BYTES {
        return Err(whole_file(path, "the file is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        };
        SpecError::new(path, place, "", "the file is not UTF-8 text").into()
    })
}

fn whole_file(origin: &Path, message: &str) -> SpecErrors {
    SpecError::new(origin, Place::START, "", message).into()
}
