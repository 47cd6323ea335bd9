//! Scratch directories on this machine.
//!
//! A directory is the run's if it lies where the plan for the run's id says,
//! is a real directory, and carries the run's ownership file. It is made under
//! another name and renamed when it is complete, so that a kill at any instant
//! leaves nothing, or a directory of which the name tells that it is unfinished
//! and ours, or a complete one.

mod remove;

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Found, Made, Place, Room, Sandbox};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
        resource::Resource,
    },
    process::{Account, label, owner::Identity},
};

/// The ownership file.
const MARKER: &str = ".lifeboat-run";
/// What an unfinished directory's name ends in.
const UNFINISHED: &str = ".making";
/// How long processes get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// Scratch directories under one root.
#[derive(Debug, Clone)]
pub struct LocalSandbox {
    root: PathBuf,
    /// Whom the directories are for; `None` where Lifeboat keeps its own user.
    account: Option<Account>,
}

/// What the ownership file says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    run: RunId,
    host: String,
    boot: String,
    pid: u32,
    start_ticks: u64,
}

impl LocalSandbox {
    /// Scratch directories under `root`, which is made when it is needed.
    #[must_use]
    pub fn new(root: PathBuf, account: Option<Account>) -> Self {
        Self { root, account }
    }

    fn planned(&self, run: RunId, place: Place) -> PathBuf {
        let name = run.resource_name();
        match place {
            Place::Sandbox => self.root.join(name),
            Place::RecoveryPoint => self.root.join(format!("{name}.point")),
        }
    }

    /// The path of a planned directory, shown to be one of ours by its name
    /// and place.
    fn path(run: RunId, resource: &Resource) -> Result<&Path, Failure> {
        let Resource::Directory { path } = resource else {
            let message = format!("{} is not on this machine", resource.key());
            return Err(Failure::new(FailureKind::Invalid, message));
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let ours = run.resource_name();
        if name == ours || name.strip_suffix(".point") == Some(&ours) {
            return Ok(path);
        }
        Err(Failure::new(
            FailureKind::Conflict,
            format!("{} is not a directory of run {run}", path.display()),
        ))
    }

    /// The finished path and the marker of a directory that wears our label. A
    /// copy of one under another name, or somebody else's, does not.
    fn labelled(&self, path: &Path) -> Option<(PathBuf, Marker)> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let own = nix::unistd::geteuid().as_raw();
        let account = self.account.map(|account| account.uid);
        let is_ours = metadata.uid() == own || Some(metadata.uid()) == account;
        if !metadata.is_dir() || !is_ours {
            return None;
        }
        let marker = read_marker(path)?;
        let name = path.file_name()?.to_str()?;
        let finished = path.with_file_name(name.strip_suffix(UNFINISHED).unwrap_or(name));
        let path = finished.clone();
        Self::path(marker.run, &Resource::Directory { path }).ok()?;
        Some((finished, marker))
    }

    fn make_now(&self, run: RunId, path: &Path) -> Result<PathBuf, Failure> {
        match owner_of(path)? {
            Owned::By(owner) if owner == run => return Ok(path.to_owned()),
            Owned::Nothing => {}
            Owned::By(_) | Owned::Nobody => return Err(foreign(path)),
        }
        let parent = path.parent().unwrap_or(&self.root);
        // Others may pass through to what is theirs, and see nothing.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(parent)
            .map_err(|error| io(&error, "make", parent))?;
        let unfinished = unfinished(path);
        remove::tree(&unfinished)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&unfinished)
            .map_err(|error| io(&error, "make", &unfinished))?;
        write_marker(run, &unfinished)?;
        if let Some(account) = self.account {
            std::os::unix::fs::chown(&unfinished, Some(account.uid), Some(account.gid))
                .map_err(|error| io(&error, "hand over", &unfinished))?;
        }
        fs::rename(&unfinished, path).map_err(|error| io(&error, "make", path))?;
        Ok(path.to_owned())
    }

    fn release_now(run: RunId, path: &Path) -> Result<(), Failure> {
        remove::tree(&unfinished(path))?;
        match owner_of(path)? {
            Owned::Nothing => Ok(()),
            Owned::By(owner) if owner == run => remove_owned(path),
            Owned::By(_) | Owned::Nobody => Err(foreign(path)),
        }
    }
}

/// The ownership file goes last, and under the name of an unfinished directory:
/// so a removal that is cut off at any instant can be told from a stranger's
/// directory, and is taken up again.
fn remove_owned(path: &Path) -> Result<(), Failure> {
    remove::contents_but(path, MARKER)?;
    let unfinished = unfinished(path);
    match fs::rename(path, &unfinished) {
        // Another process has come here first.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        renamed => renamed.map_err(|error| io(&error, "remove", path))?,
    }
    remove::tree(&unfinished)
}

#[async_trait]
impl Sandbox for LocalSandbox {
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource> {
        let path = self.planned(run, place);
        vec![Resource::Directory { path }]
    }

    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure> {
        let path = self.make_now(run, &self.planned(run, place))?;
        Ok(Made {
            room: Room::Directory(path),
            resources: self.plan(run, place),
        })
    }

    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        label::end_all(run, Self::path(run, resource)?, GRACE).await
    }

    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        let path = Self::path(run, resource)?.to_owned();
        label::end_all(run, &path, GRACE).await?;
        let removed = tokio::task::spawn_blocking(move || Self::release_now(run, &path)).await;
        removed.unwrap_or_else(|error| {
            Err(Failure::new(
                FailureKind::Internal,
                format!("removal broke off: {error}"),
            ))
        })
    }

    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String> {
        let Ok(path) = Self::path(run, resource) else {
            return Vec::new();
        };
        let processes = label::find(run, path).len();
        let mut lines = vec![format!("{processes} processes of the run are alive")];
        if let Ok(free) = free_bytes(path) {
            lines.push(format!("{} MiB are free in {}", free >> 20, path.display()));
        }
        lines
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(&error, "list", &self.root)),
        };
        let here = Identity::current()?;
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Some((path, marker)) = self.labelled(&entry.path()) else {
                continue;
            };
            let made_by = Identity {
                host: marker.host,
                boot: marker.boot,
                pid: marker.pid,
                start_ticks: marker.start_ticks,
            };
            found.push(Found {
                run: marker.run,
                resource: Resource::Directory { path },
                in_use: !made_by.is_gone(&here),
            });
        }
        Ok(found)
    }
}

/// Who owns what stands at a path.
enum Owned {
    Nothing,
    By(RunId),
    Nobody,
}

fn owner_of(path: &Path) -> Result<Owned, Failure> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Owned::Nothing),
        Err(error) => return Err(io(&error, "look at", path)),
        Ok(metadata) if !metadata.is_dir() => return Ok(Owned::Nobody),
        Ok(_) => {}
    }
    Ok(match read_marker(path) {
        Some(marker) => Owned::By(marker.run),
        // Another process may have removed it since that look.
        None if !path.exists() => Owned::Nothing,
        None => Owned::Nobody,
    })
}

fn read_marker(path: &Path) -> Option<Marker> {
    let text = fs::read_to_string(path.join(MARKER)).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_marker(run: RunId, path: &Path) -> Result<(), Failure> {
    use std::io::Write as _;
    let Identity {
        host,
        boot,
        pid,
        start_ticks,
    } = Identity::current()?;
    let marker = Marker {
        run,
        host,
        boot,
        pid,
        start_ticks,
    };
    let text = serde_json::to_string(&marker).map_err(|error| {
        Failure::new(
            FailureKind::Internal,
            format!("cannot write an ownership file: {error}"),
        )
    })?;
    let path = path.join(MARKER);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| io(&error, "write", &path))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    path.with_file_name(name)
}

fn foreign(path: &Path) -> Failure {
    Failure::new(
        FailureKind::Conflict,
        format!("{} is there and is not this run's", path.display()),
    )
    .hint("nothing was touched; look at what it is, and remove it by hand if it is not needed")
}

/// Bytes that an ordinary user may still write below `path`.
///
/// # Errors
/// If it cannot be looked at.
pub fn free_bytes(path: &Path) -> Result<u64, Failure> {
    nix::sys::statvfs::statvfs(path)
        .map(|stat| stat.blocks_available() * stat.fragment_size())
        .map_err(|error| io(&error.into(), "look at", path))
}

fn io(error: &std::io::Error, doing: &str, path: &Path) -> Failure {
    use std::io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::PermissionDenied => FailureKind::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::Exhausted,
        ErrorKind::NotFound => FailureKind::NotFound,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, format!("cannot {doing} {}: {error}", path.display()))
}

/// Whether `path` lies on the file system `device`.
fn same_device(path: &Path, device: u64) -> Result<bool, Failure> {
    fs::symlink_metadata(path)
        .map(|metadata| metadata.dev() == device)
        .map_err(|error| io(&error, "look at", path))
}
