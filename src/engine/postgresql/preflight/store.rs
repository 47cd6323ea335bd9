//! The bucket that a dump is in, or goes to.

use super::finding_of;
use crate::{
    domain::{check::Finding, failure::Failure},
    engine::{
        Context,
        postgresql::{PostgresEngine, archive},
    },
    recovery::s3::Bucket,
    spec::drill::{BackupPlace, S3Backup, S3Target},
};

/// What the findings are about.
const SUBJECT: &str = "bucket";

/// Tries out what a run will do there.
pub(super) async fn look(engine: &PostgresEngine, cx: &Context) -> Vec<Finding> {
    let target = engine.fresh.as_ref().and_then(|fresh| fresh.to.as_ref());
    let found = match (target, &engine.existing) {
        (Some(target), _) => writing(target, cx).await,
        (None, Some(BackupPlace::S3(backup))) => reading(backup, cx).await,
        _ => return Vec::new(),
    };
    vec![match found {
        Ok(text) => Finding::ok(SUBJECT, text),
        Err(failure) => finding_of(SUBJECT, failure),
    }]
}

async fn writing(target: &S3Target, cx: &Context) -> Result<String, Failure> {
    let bucket = Bucket::open(&target.place).await?;
    bucket.could_clear(&target.prefix, cx.run).await?;
    bucket.try_write(&target.prefix).await?;
    let location = bucket.location(&target.prefix);
    Ok(format!("{location} can be written to and listed"))
}

async fn reading(backup: &S3Backup, cx: &Context) -> Result<String, Failure> {
    let point = archive::find(cx, backup).await?;
    let mebibytes = point.size_bytes.div_ceil(1 << 20);
    let made = point
        .cut
        .at
        .map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string());
    let location = point.artifact.location();
    Ok(format!(
        "the newest backup is {location}, {mebibytes} MiB, made {made}"
    ))
}
