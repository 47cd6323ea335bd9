//! How the page is filled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{meters::Meters, page::Page, series::Row};
use crate::{
    domain::{tally::Tally, verdict::Leak},
    history::{
        History,
        known::{KnownSince, Since},
        tallies::Followed,
    },
    runner::store::StoreError,
    spec::packed::PackedDrill,
};

/// Prometheus gives up after 10 s, if nobody tells it otherwise.
const PATIENCE: Duration = Duration::from_secs(6);

/// What is counted of runs, and by this process.
pub struct Board {
    counted: Arc<Followed>,
    known: KnownSince,
    meters: Arc<Meters>,
    last: Mutex<Option<Arc<Read>>>,
}

/// By drill; `None` where one cannot be read here.
type Tallies = Arc<BTreeMap<String, Option<Arc<Tally>>>>;

/// What stands in the history.
struct Read {
    tallies: Tallies,
    /// Since when drills are known.
    known: Arc<Since>,
    /// How much is left behind by runs of each drill that has left anything.
    left: BTreeMap<String, usize>,
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
#[derive(Debug, Clone)]
pub struct Sweep {
    pub at: Timestamp,
    pub leaks: usize,
    /// Those that belong to no run that is known.
    pub nobodys: Arc<[Leak]>,
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
            last: Mutex::default(),
        }
    }

    /// The page as of now. Where the history cannot be read, what stands there is told
    /// as it was last read: an alert that fires is not to be resolved by that.
    ///
    /// # Errors
    /// Never for names that are valid.
    pub async fn page(
        &self,
        history: &dyn History,
        scene: Scene,
        now: Timestamp,
    ) -> prometheus::Result<Page> {
        let read = self.read(history, &scene, now).await;
        let mut page = Page::of_process(&scene, &self.meters)?;
        if let Some(read) = read {
            page.leaks = leaks(&scene, &read.left);
            let rows = scene.drills.into_iter().map(|kept| Row {
                tally: match read.tallies.get(kept.drill.name.as_str()) {
                    Some(tally) => tally.clone(),
                    // It never ran, and that is told.
                    None => Some(Arc::default()),
                },
                behind: self.meters.is_behind(),
                since: read.known.get(kept.drill.name.as_str()).copied(),
                kept,
            });
            page.rows = rows.collect();
        }
        Ok(page)
    }

    /// What stands in the history, or did when it was last read; `None` where it was
    /// not read yet.
    async fn read(
        &self,
        history: &dyn History,
        scene: &Scene,
        now: Timestamp,
    ) -> Option<Arc<Read>> {
        let reading = self.read_now(history, scene, now);
        let error = match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => {
                *self.last() = Some(Arc::new(read));
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = error {
            tracing::warn!(error, "the history cannot be read for metrics");
            self.meters.errors.inc();
        }
        self.last().clone()
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Read>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_now(
        &self,
        history: &dyn History,
        scene: &Scene,
        now: Timestamp,
    ) -> Result<Read, StoreError> {
        let tallies = self.counted.now(history).await?.tallies;
        let drills = scene.drills.iter().map(|kept| kept.drill.name.as_str());
        // What cannot be written is no reason to tell nothing else.
        let known = self.known.of(history, drills, now).await;
        let known = known.inspect_err(|error| {
            tracing::warn!(%error, "since when drills are known cannot be noted");
            self.meters.errors.inc();
        });
        let mut left = BTreeMap::<String, usize>::new();
        for run in history.unfinished().await? {
            let leaks = run.record.cleanup.leaks().len();
            if leaks > 0 {
                *left.entry(run.record.drill).or_default() += leaks;
            }
        }
        let known = known.ok();
        let known = known.or_else(|| self.last().as_ref().map(|last| last.known.clone()));
        Ok(Read {
            tallies,
            known: known.unwrap_or_default(),
            left,
        })
    }
}

/// How much is left behind of each drill's runs. Nothing is told as well as
/// something; so is what a drill has left that is not there any more.
fn leaks(scene: &Scene, left: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let drills = scene.drills.iter();
    let mut all: BTreeMap<String, usize> = drills
        .map(|kept| (kept.drill.name.to_string(), 0))
        .collect();
    all.extend(left.iter().map(|(drill, left)| (drill.clone(), *left)));
    all
}
