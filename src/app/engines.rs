//! Making the engine of a drill.

use std::sync::Arc;

use crate::{
    engine::{
        Engine, Fault,
        postgresql::{
            PostgresEngine,
            attach::{self, Attached},
        },
        sqlite::SqliteEngine,
    },
    k8s::Clusters,
    process::Launcher,
    remote::{self, RemoteEngine},
    spec::drill::{
        BackupPlace, Drill, KubernetesWorkload, PostgresqlWorkload, RecoveryPointSource, Workload,
    },
};

/// One that works here; `attached` where somebody else starts the copy.
#[must_use]
pub fn local(drill: &Drill, launcher: Launcher, attached: Option<Attached>) -> Arc<dyn Engine> {
    match &drill.workload {
        Workload::Postgresql(workload) => Arc::new(postgresql(drill, workload, launcher, attached)),
        Workload::Sqlite(workload) => Arc::new(SqliteEngine {
            workload: workload.clone(),
            existing: existing(drill),
            canary: drill.canary.clone(),
            checks: drill.checks.clone(),
            profile: drill.profile,
            verify_jobs: drill.sandbox.verify_jobs,
        }),
    }
}

/// The same of PostgreSQL.
#[must_use]
pub fn postgresql(
    drill: &Drill,
    workload: &PostgresqlWorkload,
    launcher: Launcher,
    attached: Option<Attached>,
) -> PostgresEngine {
    let fresh = match &drill.recovery_point {
        RecoveryPointSource::Fresh(fresh) => Some(fresh.clone()),
        _ => None,
    };
    PostgresEngine {
        workload: workload.clone(),
        fresh,
        existing: existing(drill),
        canary: drill.canary.clone(),
        checks: drill.checks.clone(),
        sandbox: drill.sandbox.clone(),
        profile: drill.profile,
        launcher,
        attached,
    }
}

fn existing(drill: &Drill) -> Option<BackupPlace> {
    match &drill.recovery_point {
        RecoveryPointSource::Existing(backup) => Some(backup.at.clone()),
        _ => None,
    }
}

/// One that works in a cluster, by way of agents.
#[must_use]
pub fn in_cluster(
    drill: &Drill,
    workload: &KubernetesWorkload,
    faults: &[Fault],
    clusters: Clusters,
) -> RemoteEngine {
    // The binary in the image has to be of this very version.
    let named = std::env::var(IMAGE).ok();
    let image_is_named = named.is_some();
    let image = named.unwrap_or_else(default_image);
    let mut engine = RemoteEngine::new(drill.clone(), workload.clone(), image, clusters);
    engine.image_is_named = image_is_named;
    engine.faults = faults.to_vec();
    engine.arguments = match &drill.workload {
        Workload::Postgresql(_) => attach::arguments(remote::shared()),
        Workload::Sqlite(_) => Vec::new(),
    };
    engine
}

/// The environment variable that names the image with Lifeboat's binary.
pub const IMAGE: &str = "LIFEBOAT_IMAGE";

fn default_image() -> String {
    format!("lifeboat:{}", env!("CARGO_PKG_VERSION"))
}
