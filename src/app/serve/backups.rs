//! The newest backup of a drill, wherever those are kept.

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{
    app::{App, engines},
    domain::{
        failure::{Failure, FailureKind},
        resource::FromCluster,
    },
    recovery::{self, s3::Bucket},
    remote,
    service::Backups,
    spec::drill::{BackupPlace, Drill, RecoveryPointSource, S3Backup},
};

/// A disk that is gone may hold a thread for ever: others have to go on.
static LOOKS: Semaphore = Semaphore::const_new(32);

#[async_trait]
impl Backups for App {
    async fn newest(&self, drill: &Drill) -> Result<Option<Timestamp>, Failure> {
        let newest = match &drill.recovery_point {
            RecoveryPointSource::Existing(backup) => match &backup.at {
                BackupPlace::Path { path, .. } => on_disk(path.clone()).await.map(Some),
                BackupPlace::S3(backup) => self.in_bucket(drill, backup).await,
            },
            RecoveryPointSource::ExistingSnapshot(wanted) => match drill.workload.kubernetes() {
                Some(workload) => {
                    let clusters = self.clusters.clone();
                    let engine = engines::in_cluster(drill, workload, &[], clusters);
                    engine.newest_snapshot(wanted).await
                }
                None => Ok(None),
            },
            RecoveryPointSource::Fresh(_) | RecoveryPointSource::Snapshot(_) => Ok(None),
        };
        match newest {
            Err(failure) if failure.kind == FailureKind::NotFound => {
                tracing::debug!(drill = %drill.name, %failure, "there is no backup yet");
                Ok(None)
            }
            newest => newest,
        }
    }
}

impl App {
    async fn in_bucket(
        &self,
        drill: &Drill,
        backup: &S3Backup,
    ) -> Result<Option<Timestamp>, Failure> {
        let newest = match drill.workload.kubernetes() {
            Some(workload) => {
                let from = FromCluster {
                    cluster: drill.cluster(),
                    namespace: workload.namespace.clone(),
                };
                remote::newest(&self.clusters, &from, (&backup.place, &backup.key)).await?
            }
            None => {
                Bucket::open(&backup.place)
                    .await?
                    .newest(&backup.key)
                    .await?
            }
        };
        Ok(newest.modified)
    }
}

async fn on_disk(path: PathBuf) -> Result<Timestamp, Failure> {
    let look = move || {
        let mut newest = recovery::newest(&path)?;
        // A directory itself stays as it is while its files grow: what is in it
        // is written last.
        if newest.is_dir() {
            newest.push("toc.dat");
        }
        let modified = std::fs::metadata(&newest).and_then(|is| is.modified());
        let modified = modified.map_err(|error| {
            let message = format!("cannot read {}: {error}", newest.display());
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => FailureKind::NotFound,
                _ => FailureKind::Unavailable,
            };
            Failure::new(kind, message)
        })?;
        Timestamp::try_from(modified).map_err(|error| {
            let message = format!("{} has an odd time: {error}", newest.display());
            Failure::new(FailureKind::Invalid, message)
        })
    };
    let permit = LOOKS.acquire().await;
    let looked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        look()
    });
    let looked = looked.await;
    looked.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?
}
