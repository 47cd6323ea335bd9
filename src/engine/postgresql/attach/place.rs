//! Where a copy's data lies, as its own container sees it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::domain::failure::{Failure, FailureKind};

/// The variable by which images of PostgreSQL are told where.
pub const DATA_VARIABLE: &str = "PGDATA";

/// Where they keep their data, if nothing says otherwise.
const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";

/// What every data directory holds.
const VERSION_FILE: &str = "PG_VERSION";

/// Names of what a directory holds that are shown.
const SHOWN: usize = 8;

/// Where the drill says; else where the container's environment says, however
/// it came to say so; else where images keep it.
#[must_use]
pub fn data_directory(named: Option<&str>, told: Option<OsString>) -> PathBuf {
    let told = told.filter(|path| !path.is_empty());
    named
        .map(PathBuf::from)
        .or_else(|| told.map(PathBuf::from))
        .unwrap_or_else(|| DATA_DIRECTORY.into())
}

/// Whether there are data.
///
/// # Errors
/// If nobody can tell, such as for want of rights.
pub(super) fn holds_data(data: &Path) -> Result<bool, Failure> {
    let file = data.join(VERSION_FILE);
    file.try_exists().map_err(|error| {
        let message = format!("cannot look for {}: {error}", file.display());
        Failure::new(FailureKind::Invalid, message)
            .hint("say as whom the copy runs: sandbox.kubernetes.runAs in the drill")
    })
}

/// Shows that a restored volume has its data where they are looked for: else
/// the engine would be started untamed, or make an empty database.
///
/// # Errors
/// `Invalid` if there are none.
pub fn must_hold_data(data: &Path) -> Result<(), Failure> {
    if holds_data(data)? {
        return Ok(());
    }
    let message = format!(
        "there is no {VERSION_FILE} in {}, which {}: the restored volumes have no data directory \
         there",
        data.display(),
        found(data)
    );
    Err(Failure::new(FailureKind::Invalid, message).hint(format!(
        "set workload.postgresql.kubernetes.dataDirectory in the drill, or {DATA_VARIABLE} in the \
         workload, to the directory that holds {VERSION_FILE}"
    )))
}

fn found(data: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(data) else {
        return "is no directory".to_owned();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.truncate(SHOWN);
    if names.is_empty() {
        "is empty".to_owned()
    } else {
        format!("holds {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_own_environment_counts_but_for_the_drills_word() {
        let told = || Some(OsString::from("/told"));
        for (named, told, expected) in [
            (Some("/named"), told(), "/named"),
            (None, told(), "/told"),
            (None, Some(OsString::new()), DATA_DIRECTORY),
            (None, None, DATA_DIRECTORY),
        ] {
            assert_eq!(data_directory(named, told), Path::new(expected));
        }
    }

    #[test]
    fn a_volume_without_data_where_they_are_looked_for_is_refused() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("pgdata")).unwrap();
        let failure = must_hold_data(place.path()).unwrap_err();
        let looked = place.path().display().to_string();
        assert!(failure.message.contains(&looked), "{failure}");
        assert!(failure.message.contains("holds pgdata"), "{failure}");
        let hint = failure.hint.unwrap();
        assert!(hint.contains("dataDirectory") && hint.contains("PGDATA"));
        let gone = must_hold_data(&place.path().join("none")).unwrap_err();
        assert!(gone.message.contains("is no directory"), "{gone}");
        std::fs::write(place.path().join(VERSION_FILE), "15\n").unwrap();
        must_hold_data(place.path()).unwrap();
    }
}
