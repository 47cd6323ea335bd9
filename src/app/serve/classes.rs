//! What runs share that only the cluster knows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    app::{App, engines},
    domain::{budget::Share, ids::DrillName},
    spec::drill::Drill,
};

/// For so long the storage classes of a drill are not asked for again: a run
/// that waits for room is tried every second.
const HOLDS: Duration = Duration::from_mins(10);

/// Storage classes of drills.
#[derive(Default)]
pub(super) struct Classes(Mutex<HashMap<DrillName, (Duration, Vec<Share>)>>);

impl Classes {
    /// The storage classes of which a run takes volumes. Where the cluster does
    /// not tell, none: the run itself will find that out, and say so.
    pub(super) async fn shares(&self, app: &App, drill: &Drill) -> Vec<Share> {
        let Some(workload) = drill.workload.kubernetes() else {
            return Vec::new();
        };
        let now = app.clock.monotonic();
        if let Some((at, shares)) = self.known().get(&drill.name)
            && now.saturating_sub(*at) < HOLDS
        {
            return shares.clone();
        }
        let engine = engines::in_cluster(drill, workload, &[], app.clusters.clone());
        let classes = match engine.storage_classes().await {
            Ok(classes) => classes,
            Err(failure) => {
                tracing::debug!(%failure, "storage classes are not known");
                return Vec::new();
            }
        };
        let shares: Vec<_> = classes.into_iter().map(Share::StorageClass).collect();
        let known = (now, shares.clone());
        self.known().insert(drill.name.clone(), known);
        shares
    }

    /// What was found out of a drill the last time.
    pub(super) fn learnt(&self, drill: &DrillName) -> Vec<Share> {
        let known = self.known();
        let shares = known.get(drill).map(|(_, shares)| shares.clone());
        shares.unwrap_or_default()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<DrillName, (Duration, Vec<Share>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
