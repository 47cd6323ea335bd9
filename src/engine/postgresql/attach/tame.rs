//! A physical copy takes itself for production: it has the same system
//! identifier, and would archive into production's archive, follow its
//! primary, take up its subscriptions and run its jobs. Before its first start
//! all that is switched off, twice: in its configuration, and by arguments to
//! the server, of which the last ones count.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::symlink,
    path::Path,
};

use super::place::holds_data;
use crate::domain::failure::{Failure, FailureKind};

/// What must hold in a copy; a server that does not know a setting has none of
/// what it governs.
pub(super) const SETTINGS: [(&str, &str); 7] = [
    ("archive_mode", "off"),
    ("archive_command", "/bin/false"),
    ("restore_command", ""),
    ("primary_conninfo", ""),
    ("max_logical_replication_workers", "0"),
    ("max_wal_senders", "0"),
    ("cron.launch_active_jobs", "off"),
];

/// Who may connect, in the shared directory.
const HBA: &str = "hba.conf";

/// Anybody in the pod, and nobody else: no address reaches it.
const HBA_RULES: &str = "local all all trust\nhost all all all scram-sha-256\n";

/// Where an image's own programs look for the server's socket, and its probes
/// with them: as distributions build them, and as they come from upstream. A
/// server does not start that is to put one into a directory that is not there.
const USUAL: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Leads to the one of them that the image has: which that is turns out after the
/// arguments are given. In the shared directory.
const LINK: &str = "usual";

/// What marks a server as one that follows another.
const SIGNALS: [&str; 3] = ["standby.signal", "recovery.signal", "recovery.conf"];

/// The same as arguments for the server, and its socket in the shared
/// directory and where the image's own programs look for it.
#[must_use]
pub fn arguments(sockets: &Path) -> Vec<String> {
    let usual = sockets.join(LINK);
    let directories = format!("{},{}", usual.display(), sockets.display());
    let hba = sockets.join(HBA).display().to_string();
    let places = [("unix_socket_directories", directories), ("hba_file", hba)];
    let fixed = SETTINGS
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    fixed
        .chain(places)
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
        .collect()
}

/// Prepares a data directory, if there is one already, and the shared
/// directory. May be repeated.
///
/// # Errors
/// If they cannot be written.
pub fn tame(data: &Path, sockets: &Path) -> Result<(), Failure> {
    write(&sockets.join(HBA), HBA_RULES.as_bytes())?;
    link(&sockets.join(LINK), &USUAL.map(Path::new))?;
    if !holds_data(data)? {
        return Ok(());
    }
    for signal in SIGNALS {
        remove(&data.join(signal))?;
    }
    configure(data)?;
    drop_slots(&data.join("pg_replslot"))
}

/// Leads to the first directory that is there; is one itself if there is none.
fn link(path: &Path, usual: &[&Path]) -> Result<(), Failure> {
    let there = usual.iter().find(|directory| directory.is_dir());
    let made = there.map_or_else(|| fs::create_dir(path), |there| symlink(there, path));
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(cannot("make", path, &error)),
        _ => Ok(()),
    }
}

/// The last line of a setting counts, and this file is read last.
fn configure(data: &Path) -> Result<(), Failure> {
    let path = data.join("postgresql.auto.conf");
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, value) in SETTINGS {
        text = format!("{text}{name} = '{value}'\n");
    }
    write(&path, text.as_bytes())
}

/// Slots hold back WAL for followers that a copy does not have.
fn drop_slots(slots: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(slots) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        fs::remove_dir_all(&path).map_err(|error| cannot("remove", &path, &error))?;
    }
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let written = fs::File::create(&new).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| cannot("write", path, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot {verb} {}: {error}", path.display());
    Failure::new(FailureKind::Denied, message)
        .hint("the copy's files belong to another user: see sandbox.kubernetes.runAs in the drill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_loses_all_that_ties_it_to_production() {
        let place = tempfile::tempdir().unwrap();
        let (data, sockets) = (place.path().join("data"), place.path().join("run"));
        fs::create_dir_all(data.join("pg_replslot/standby_1")).unwrap();
        fs::create_dir(&sockets).unwrap();
        fs::write(data.join("PG_VERSION"), "15\n").unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        let own = "archive_mode = 'on'\nprimary_conninfo = 'host=db-0'";
        fs::write(data.join("postgresql.auto.conf"), own).unwrap();
        for _ in 0..2 {
            tame(&data, &sockets).unwrap();
        }
        let text = fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
        let last = |name: &str| {
            let of = |line: &&str| line.starts_with(&format!("{name} = "));
            text.lines().rev().find(of).unwrap().to_owned()
        };
        assert_eq!(last("archive_mode"), "archive_mode = 'off'");
        assert_eq!(last("primary_conninfo"), "primary_conninfo = ''");
        assert!(!data.join("standby.signal").exists());
        assert_eq!(fs::read_dir(data.join("pg_replslot")).unwrap().count(), 0);
        assert!(sockets.join("hba.conf").exists());
    }

    #[test]
    fn the_usual_place_of_the_socket_is_the_one_that_the_image_has() {
        let place = tempfile::tempdir().unwrap();
        let (gone, there) = (place.path().join("gone"), place.path().join("there"));
        fs::create_dir(&there).unwrap();
        let to = place.path().join("link");
        for _ in 0..2 {
            link(&to, &[&gone, &there]).unwrap();
        }
        assert_eq!(fs::read_link(&to).unwrap(), there);
        let none = place.path().join("none");
        link(&none, &[&gone]).unwrap();
        assert!(none.is_dir() && !none.is_symlink());
    }

    #[test]
    fn an_empty_volume_stays_empty() {
        let place = tempfile::tempdir().unwrap();
        tame(&place.path().join("data"), place.path()).unwrap();
        assert!(!place.path().join("data").exists());
    }
}
