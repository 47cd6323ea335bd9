//! Backups in a folder: finding the newest one.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::pattern::{is_pattern, matches};
use crate::domain::failure::{Failure, FailureKind};

/// How many names of a folder a message lists.
const LISTED: usize = 10;

/// The newest file or directory, by modification time, that a path means whose
/// last component may hold `*` (any text) and `?` (one character). Of equally
/// new ones the last by name counts. Hidden files match only patterns that
/// begin with a dot, as in a shell.
///
/// # Errors
/// `NotFound` with what is in the folder where nothing matches, `Denied` where
/// the folder can't be read, `Invalid` where the path has no last component.
pub fn newest(pattern: &Path) -> Result<PathBuf, Failure> {
    let name = pattern.file_name().ok_or_else(|| {
        Failure::new(
            FailureKind::Invalid,
            format!("{} does not name a backup", pattern.display()),
        )
    })?;
    let name = name.to_string_lossy();
    if !is_pattern(&name) {
        return exact(pattern);
    }
    let folder = match pattern.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut matching: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let found = entry.file_name().to_string_lossy().into_owned();
        let hidden = found.starts_with('.') && !name.starts_with('.');
        if hidden || !matches(name.as_bytes(), found.as_bytes()) {
            others.push(found);
            continue;
        }
        // One that is removed in this very moment is none.
        if let Ok(modified) = std::fs::metadata(entry.path()).and_then(|m| m.modified()) {
            matching.push((modified, entry.path()));
        }
    }
    matching.sort();
    match matching.pop() {
        Some((_, path)) => Ok(path),
        None => Err(nothing(pattern, folder, others)),
    }
}

fn exact(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::metadata(path)
        .map(|_| path.to_owned())
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => FailureKind::NotFound,
        std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, format!("cannot read {}: {error}", path.display()))
}

fn nothing(pattern: &Path, folder: &Path, mut others: Vec<String>) -> Failure {
    others.sort();
    let more = others.len().saturating_sub(LISTED);
    others.truncate(LISTED);
    let there = match (others.is_empty(), more) {
        (true, _) => "the folder is empty".to_owned(),
        (false, 0) => format!("it holds {}", others.join(", ")),
        (false, more) => format!("it holds {} and {more} more", others.join(", ")),
    };
    Failure::new(
        FailureKind::NotFound,
        format!(
            "no backup matches {}: in {} {there}",
            pattern.display(),
            folder.display()
        ),
    )
    .hint("check the pattern, and whether the backup job still runs")
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;

    #[test]
    fn the_newest_match_counts_and_not_the_newest_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, age: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 - age);
            file.set_modified(then).unwrap();
        };
        file("shop-1.dump", 300);
        file("shop-2.dump", 100);
        file("shop-3.dump", 200);
        file("other.dump", 0);
        file(".shop-4.dump", 0);
        let found = newest(&folder.path().join("shop-*.dump")).unwrap();
        assert_eq!(found, folder.path().join("shop-2.dump"));
        let exact = newest(&folder.path().join("other.dump")).unwrap();
        assert_eq!(exact, folder.path().join("other.dump"));
        let all = newest(&folder.path().join("*.dump")).unwrap();
        assert_eq!(all, folder.path().join("other.dump"));
    }

    #[test]
    fn where_nothing_matches_the_folder_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("readme.txt")).unwrap();
        let failure = newest(&folder.path().join("*.dump")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
        assert!(failure.message.contains("it holds readme.txt"), "{failure}");
        let failure = newest(&folder.path().join("none/*.dump")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
        assert_eq!(
            newest(Path::new("/")).unwrap_err().kind,
            FailureKind::Invalid
        );
    }
}
