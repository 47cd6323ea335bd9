//! Where the dump is, or goes to: the backup that is there, and the bucket.

use std::{fs::File, path::Path};

use crate::{
    domain::{check::Finding, failure::Failure, recovery_point::RecoveryPoint},
    engine::{
        Context, Source,
        postgresql::{PostgresEngine, archive},
        preflight::backup,
    },
    recovery::{self, s3::Bucket},
    spec::drill::{BackupPlace, S3Target},
};

/// What the findings are about.
const BUCKET: &str = "bucket";
const BACKUP: &str = "backup";
const GLOBALS: &str = "globals file";

/// Tries out what a run will do there, and gives the backup if there is one.
pub(super) async fn look(
    engine: &PostgresEngine,
    cx: &Context,
) -> (Vec<Finding>, Option<RecoveryPoint>) {
    let target = engine.fresh.as_ref().and_then(|fresh| fresh.to.as_ref());
    match (target, &engine.existing) {
        (Some(target), _) => {
            let found = match writing(target, cx).await {
                Ok(text) => Finding::ok(BUCKET, text),
                Err(failure) => Finding::failed(BUCKET, &failure),
            };
            (vec![found], None)
        }
        (None, Some(BackupPlace::S3(_))) => told(BUCKET, engine.find(cx, None).await),
        (None, Some(BackupPlace::Path { path, globals })) => {
            let (mut findings, point) = told(BACKUP, reading(engine, cx, path).await);
            findings.extend(globals.as_deref().and_then(unreadable_globals));
            (findings, point)
        }
        (None, None) => (Vec::new(), None),
    }
}

fn told(
    subject: &str,
    found: Result<RecoveryPoint, Failure>,
) -> (Vec<Finding>, Option<RecoveryPoint>) {
    match found {
        Ok(point) => (vec![backup(subject, Ok(&point))], Some(point)),
        Err(failure) => (vec![backup(subject, Err(failure))], None),
    }
}

async fn writing(target: &S3Target, cx: &Context) -> Result<String, Failure> {
    let bucket = Bucket::open(&target.place).await?;
    bucket.could_clear(&target.prefix, cx.run).await?;
    bucket.try_write(&target.prefix).await?;
    let location = bucket.location(&target.prefix);
    Ok(format!("{location} can be written to and listed"))
}

/// As a run does.
async fn reading(
    engine: &PostgresEngine,
    cx: &Context,
    path: &Path,
) -> Result<RecoveryPoint, Failure> {
    engine.identify(cx, &recovery::newest(path)?).await
}

fn unreadable_globals(path: &Path) -> Option<Finding> {
    let error = File::open(path).err()?;
    Some(Finding::failed(GLOBALS, &archive::unreadable(path, &error)))
}
