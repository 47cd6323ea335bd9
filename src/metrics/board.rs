//! How the page is filled.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{meters::Meters, page::Page, series::Row};
use crate::{
    domain::verdict::Cleanup,
    history::{History, known::KnownSince, tallies::Followed},
    runner::store::{StoreError, Unfinished},
    spec::packed::PackedDrill,
};

/// What is counted of runs, and by this process.
pub struct Board {
    counted: Arc<Followed>,
    known: KnownSince,
    meters: Arc<Meters>,
}

/// What this process knows beside the history.
pub struct Scene {
    pub drills: Vec<Kept>,
    pub broken: usize,
    pub running: usize,
    pub waiting: usize,
    pub sweep: Option<Sweep>,
}

/// A drill of the service.
pub struct Kept {
    pub drill: Arc<PackedDrill>,
    pub starts_at: Option<Timestamp>,
    /// Whether there is any backup, where the drill runs after each.
    pub found: Option<bool>,
}

/// How the last sweep went.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    pub at: Timestamp,
    pub leaks: usize,
    pub unseen: usize,
}

impl Board {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(counted: Arc<Followed>, meters: Arc<Meters>) -> Self {
        let known = KnownSince::default();
        Self {
            counted,
            known,
            meters,
        }
    }

    /// The page as of now. Where the history cannot be read it is without what
    /// stands there.
    ///
    /// # Errors
    /// Never for names that are valid.
    pub async fn page(
        &self,
        history: &dyn History,
        scene: Scene,
        now: Timestamp,
    ) -> prometheus::Result<Page> {
        let read = async {
            let counted = self.counted.now(history).await?;
            let drills = scene.drills.iter().map(|kept| kept.drill.name.as_str());
            // What cannot be written is no reason to tell nothing else.
            let known = self.known.of(history, drills, now).await;
            let known = known.inspect_err(|error| {
                tracing::warn!(%error, "since when drills are known cannot be noted");
                self.meters.errors.inc();
            });
            let known = known.unwrap_or_default();
            Ok::<_, StoreError>((counted.tallies, known, history.unfinished().await?))
        };
        let read = read.await.inspect_err(|error| {
            tracing::warn!(%error, "the history cannot be read for metrics");
            self.meters.errors.inc();
        });
        let mut page = Page::of_process(&scene, &self.meters)?;
        if let Ok((tallies, known, unfinished)) = read {
            page.leaks = leaks(&scene, &unfinished);
            let rows = scene.drills.into_iter().map(|kept| Row {
                tally: match tallies.get(kept.drill.name.as_str()) {
                    Some(tally) => tally.clone(),
                    // It never ran, and that is told.
                    None => Some(Arc::default()),
                },
                behind: self.meters.is_behind(),
                since: known.get(kept.drill.name.as_str()).copied(),
                kept,
            });
            page.rows = rows.collect();
        }
        Ok(page)
    }
}

/// How much is left behind of each drill's runs. Nothing is told as well as
/// something; so is what a drill has left that is not there any more.
fn leaks(scene: &Scene, unfinished: &[Unfinished]) -> BTreeMap<String, usize> {
    let drills = scene.drills.iter();
    let mut left: BTreeMap<String, usize> = drills
        .map(|kept| (kept.drill.name.to_string(), 0))
        .collect();
    for run in unfinished {
        if let Cleanup::Leaked { resources } = &run.record.cleanup {
            *left.entry(run.record.drill.clone()).or_default() += resources.len();
        }
    }
    left
}
