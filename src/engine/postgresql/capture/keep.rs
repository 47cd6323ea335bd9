//! A dump that is kept in a bucket.
//!
//! With several jobs it is a directory, as ever, and every file goes as soon
//! as it is finished. With one job nothing touches a disk: what `pg_dump`
//! writes goes straight to the bucket.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path};

use tokio_util::sync::CancellationToken;

use super::{DUMP, dump::Dump};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, POINT_FILE, RecoveryPoint},
    },
    engine::{Context, postgresql::globals},
    process::Launch,
    recovery::s3::{Bucket, Filling, Shelf},
    spec::drill::S3Target,
};

/// Opens the run's place in the bucket: what is wrong with it is seen before
/// anything is dumped.
pub(super) async fn open(cx: &Context, target: &S3Target) -> Result<Shelf, Failure> {
    let bucket = Bucket::open(&target.place).await?;
    Shelf::open(bucket, &target.prefix, cx.run).await
}

/// Puts everything beside the dump that belongs to it, and says where it is.
pub(super) async fn close(
    shelf: &Shelf,
    target: &S3Target,
    point: &mut RecoveryPoint,
    into: &Path,
) -> Result<(), Failure> {
    let format = match &point.artifact {
        Artifact::LogicalDump { format, .. } => format.clone(),
        _ => String::new(),
    };
    point.artifact = Artifact::StoredDump {
        location: target.place.location(shelf.root()),
        key: shelf.root().to_owned(),
        format,
    };
    shelf.put_file(into, Path::new(globals::FILE_NAME)).await?;
    let text = serde_json::to_vec(point).map_err(|error| {
        let message = format!("cannot describe the recovery point: {error}");
        Failure::new(FailureKind::Internal, message)
    })?;
    shelf
        .put(Path::new(POINT_FILE), &mut text.as_slice())
        .await?;
    shelf.close().await
}

impl Dump<'_> {
    /// Keeps the files of a directory one by one.
    pub(super) async fn drained(
        &self,
        cx: &Context,
        launch: Launch,
        onto: &Shelf,
    ) -> Result<(), Failure> {
        self.make_directory()?;
        let filling = Filling::watch(self.into, Path::new(DUMP))?;
        // A file that is gone cannot be synced; in the bucket all are safe.
        let running = self.start(self.as_directory(launch).arg("--no-sync"))?;
        let filled = CancellationToken::new();
        let dumping = async {
            self.end(cx, running).await?;
            filled.cancel();
            Ok(())
        };
        tokio::try_join!(dumping, onto.drain(&filling, &filled)).map(drop)
    }

    /// Keeps what `pg_dump` writes to its standard output.
    pub(super) async fn streamed(
        &self,
        cx: &Context,
        launch: Launch,
        onto: &Shelf,
    ) -> Result<(), Failure> {
        let mut running = self.start(launch.arg("--format=custom"))?;
        let Some(mut written) = running.child.stdout.take() else {
            let message = "pg_dump has no standard output";
            return Err(Failure::new(FailureKind::Internal, message));
        };
        let keeping = onto.put(Path::new(DUMP), &mut written);
        tokio::try_join!(self.end(cx, running), keeping).map(drop)
    }

    /// `pg_dump` takes a directory that is there if it is empty.
    fn make_directory(&self) -> Result<(), Failure> {
        let path = self.into.join(DUMP);
        let made = fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .and_then(|()| match self.launcher.account {
                Some(account) => {
                    std::os::unix::fs::chown(&path, Some(account.uid), Some(account.gid))
                }
                None => Ok(()),
            });
        made.map_err(|error| {
            let message = format!("cannot make {}: {error}", path.display());
            Failure::new(FailureKind::Unavailable, message)
        })
    }
}
