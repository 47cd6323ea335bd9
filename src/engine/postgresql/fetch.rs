//! Fetching a dump from its bucket, and where it lies then.

use std::{
    borrow::Cow,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{PostgresEngine, archive};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, Ownership, POINT_FILE, RecoveryPoint},
    },
    engine::Context,
    recovery::s3::{Bucket, Object, Wanted},
    spec::drill::{BackupPlace, S3Backup, S3Place},
};

/// The dump's name where it is fetched to.
const DUMP: &str = "dump";

/// The name of the globals that belong to an existing backup.
const GLOBALS: &str = "globals.sql";

/// How often is told how far it is.
const POLL: Duration = Duration::from_millis(200);

/// How many objects are asked for their checksums at once.
const LOOKS: usize = 16;

/// Fetches into the directory `into`, and says what is there then.
pub(super) async fn fetch(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    into: &Path,
) -> Result<RecoveryPoint, Failure> {
    let Artifact::StoredDump { key, .. } = &point.artifact else {
        let message = "the recovery point is in no bucket";
        return Err(Failure::new(FailureKind::Internal, message));
    };
    let bucket = Bucket::open(place(engine)?).await?;
    let wanted = if let (Ownership::Borrowed, Some(BackupPlace::S3(backup))) =
        (point.ownership, &engine.existing)
    {
        found(&bucket, backup, point, key).await?
    } else {
        let objects = bucket.manifest(key).await?.objects;
        objects.into_iter().map(Wanted::from).collect()
    };
    tell_unchecked(cx, &wanted);
    bring(cx, &bucket, wanted, into).await?;
    let mut fetched = match point.ownership {
        Ownership::Ours => described(into)?,
        Ownership::Borrowed => point.clone(),
    };
    fetched.artifact = local(&point.artifact, into).unwrap_or(fetched.artifact);
    Ok(fetched)
}

/// The point as it is where it was fetched to, if it was in a bucket.
pub(super) fn at_hand<'a>(point: &'a RecoveryPoint, fetched: &Path) -> Cow<'a, RecoveryPoint> {
    match local(&point.artifact, fetched) {
        Some(artifact) => Cow::Owned(RecoveryPoint {
            artifact,
            ..point.clone()
        }),
        None => Cow::Borrowed(point),
    }
}

/// The file with the globals of an existing backup; of one from a bucket they
/// lie beside the dump.
pub(super) fn globals(engine: &PostgresEngine, dump: &Path) -> Option<PathBuf> {
    match engine.existing.as_ref()? {
        BackupPlace::Path { globals, .. } => globals.clone(),
        BackupPlace::S3(backup) => backup
            .globals
            .as_ref()
            .map(|_| dump.with_file_name(GLOBALS)),
    }
}

fn local(artifact: &Artifact, fetched: &Path) -> Option<Artifact> {
    match artifact {
        Artifact::StoredDump { format, .. } => Some(Artifact::LogicalDump {
            path: fetched.join(DUMP),
            format: format.clone(),
        }),
        _ => None,
    }
}

fn place(engine: &PostgresEngine) -> Result<&S3Place, Failure> {
    let of_fresh = engine.fresh.as_ref().and_then(|fresh| fresh.to.as_ref());
    let of_existing = match &engine.existing {
        Some(BackupPlace::S3(backup)) => Some(&backup.place),
        _ => None,
    };
    let place = of_fresh.map(|target| &target.place).or(of_existing);
    place.ok_or_else(|| Failure::new(FailureKind::Internal, "the drill names no bucket"))
}

/// The objects of a backup that was found, with what the store keeps of each.
async fn found(
    bucket: &Bucket,
    backup: &S3Backup,
    point: &RecoveryPoint,
    key: &str,
) -> Result<Vec<Wanted>, Failure> {
    let whole = Path::new(DUMP);
    let mut wanted: Vec<(String, PathBuf)> = if key.ends_with('/') {
        let files = bucket.below(key).await?;
        let names = files.iter().filter_map(|file| file.key.strip_prefix(key));
        // A dump's directory has none below it.
        let names = names.filter(|name| !name.contains('/'));
        names
            .map(|name| (format!("{key}{name}"), whole.join(name)))
            .collect()
    } else {
        vec![(key.to_owned(), whole.to_owned())]
    };
    let globals = backup.globals.iter();
    wanted.extend(globals.map(|key| (key.clone(), PathBuf::from(GLOBALS))));
    let wanted: Vec<Wanted> = stream::iter(wanted)
        .map(|(key, file)| async move {
            Ok::<_, Failure>(Wanted {
                object: there(bucket, &key).await?,
                file,
                offset: 0,
            })
        })
        .buffered(LOOKS)
        .try_collect()
        .await?;
    is_the_one(bucket, point, key, &wanted)?;
    Ok(wanted)
}

async fn there(bucket: &Bucket, key: &str) -> Result<Object, Failure> {
    bucket.object(key).await?.ok_or_else(|| {
        let message = format!("there is no {}", bucket.location(key));
        Failure::new(FailureKind::NotFound, message)
    })
}

/// What is fetched is what was found before recovery was declared.
fn is_the_one(
    bucket: &Bucket,
    point: &RecoveryPoint,
    key: &str,
    wanted: &[Wanted],
) -> Result<(), Failure> {
    let telling = if key.ends_with('/') {
        format!("{key}toc.dat")
    } else {
        key.to_owned()
    };
    let now = wanted.iter().find(|wanted| wanted.object.key == telling);
    let now = now.and_then(|wanted| wanted.object.etag.as_deref());
    let then = point.details.get(archive::VERSION).map(String::as_str);
    if then.is_some() && now != then {
        let message = format!("{} was changed since it was found", bucket.location(key));
        return Err(Failure::new(FailureKind::Conflict, message).hint("run the drill again"));
    }
    Ok(())
}

fn tell_unchecked(cx: &Context, wanted: &[Wanted]) {
    let unchecked = wanted
        .iter()
        .filter(|wanted| wanted.object.sum.is_none())
        .count();
    if unchecked > 0 {
        let all = wanted.len();
        cx.note(format!(
            "the store keeps no checksum of {unchecked} of {all} objects: only the load shows \
             whether they are whole"
        ));
    }
}

async fn bring(
    cx: &Context,
    bucket: &Bucket,
    wanted: Vec<Wanted>,
    into: &Path,
) -> Result<(), Failure> {
    make_directory(into)?;
    let total = wanted.iter().map(|wanted| wanted.object.bytes).sum();
    let done = Arc::new(AtomicU64::new(0));
    let fetching = bucket.fetch(wanted, into, done.clone());
    let telling = async {
        loop {
            tokio::time::sleep(POLL).await;
            cx.progress("fetch", done.load(Ordering::Relaxed), total, Unit::Bytes);
        }
    };
    tokio::select! {
        fetched = fetching => fetched,
        () = telling => Ok(()),
        () = cx.cancel.cancelled() => {
            let message = "stopped on request while fetching";
            Err(Failure::new(FailureKind::Cancelled, message))
        }
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path);
    made.map_err(|error| {
        let message = format!("cannot make {}: {error}", path.display());
        Failure::new(FailureKind::Unavailable, message)
    })
}

/// What the capture has written beside the dump.
fn described(into: &Path) -> Result<RecoveryPoint, Failure> {
    let path = into.join(POINT_FILE);
    let bad = |error: &dyn std::fmt::Display| {
        let message = format!("cannot read {}: {error}", path.display());
        Failure::new(FailureKind::BadBackup, message)
    };
    let text = fs::read(&path).map_err(|error| bad(&error))?;
    serde_json::from_slice(&text).map_err(|error| bad(&error))
}
