//! How the page is filled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{meters::Meters, page::Page, series::Row, tally::Tally};
use crate::{
    domain::{ids::RunId, record::RunRecord, verdict::Cleanup},
    history::History,
    runner::store::{StoreError, Unfinished},
    spec::packed::PackedDrill,
};

/// Replicas write at the same time: what another one has concluded may be seen
/// so much later than what was concluded after it.
const OVERLAP: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// So many runs are read at once.
const BATCH: u32 = 500;

/// What is counted of runs, and by this process.
pub struct Board {
    counted: Mutex<Counted>,
    meters: Arc<Meters>,
}

/// Which runs are counted already.
#[derive(Default)]
struct Counted {
    tallies: BTreeMap<String, Arc<Tally>>,
    /// All that was concluded before is counted.
    until: Timestamp,
    /// What was concluded since, and is counted.
    recent: BTreeMap<RunId, Timestamp>,
}

/// What this process knows beside the history.
pub struct Scene {
    pub now: Timestamp,
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
    pub since: Timestamp,
}

/// How the last sweep went.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    pub at: Timestamp,
    pub leaks: usize,
    pub unseen: usize,
}

impl Board {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(meters: Arc<Meters>) -> Self {
        Self {
            counted: Mutex::default(),
            meters,
        }
    }

    /// The page as of now. Where the history cannot be read it is without what
    /// stands there.
    ///
    /// # Errors
    /// Never for names that are valid.
    pub async fn page(&self, history: &dyn History, scene: Scene) -> prometheus::Result<Page> {
        let read = async {
            let mut counted = self.counted.lock().await;
            counted.catch_up(history, &scene).await?;
            Ok::<_, StoreError>((counted, history.unfinished().await?))
        };
        let read = read.await.inspect_err(|error| {
            tracing::warn!(%error, "the history cannot be read for metrics");
            self.meters.errors.inc();
        });
        let mut page = Page::of_process(&scene, &self.meters)?;
        if let Ok((counted, unfinished)) = read {
            page.leaks = leaks(&scene, &unfinished);
            let rows = scene.drills.into_iter().map(|kept| Row {
                tally: counted.tallies.get(kept.drill.name.as_str()).cloned(),
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

impl Counted {
    async fn catch_up(&mut self, history: &dyn History, scene: &Scene) -> Result<(), StoreError> {
        let wanted: BTreeSet<&str> = scene
            .drills
            .iter()
            .map(|kept| kept.drill.name.as_str())
            .collect();
        self.tallies
            .retain(|drill, _| wanted.contains(drill.as_str()));
        if self.tallies.is_empty() {
            // There is nothing yet that what was before could be added to.
            let lately = scene.now.checked_sub(OVERLAP);
            self.until = self.until.max(lately.unwrap_or(Timestamp::MIN));
        }
        self.go_on(history, scene.now).await?;
        for drill in wanted {
            if !self.tallies.contains_key(drill) {
                let tally = self.all_of(history, drill).await?;
                self.tallies.insert(drill.to_owned(), Arc::new(tally));
            }
        }
        Ok(())
    }

    /// Counts what was concluded since the last time.
    async fn go_on(&mut self, history: &dyn History, now: Timestamp) -> Result<(), StoreError> {
        let mut all = Reading::new(None, self.until);
        while let Some(batch) = all.next(history).await? {
            for (at, record) in batch {
                if self.recent.insert(record.id, at).is_none()
                    && let Some(tally) = self.tallies.get_mut(&record.drill)
                {
                    // A page may still be told from it as it was.
                    Arc::make_mut(tally).add(&record);
                }
            }
        }
        let newest = self.recent.values().max().copied().unwrap_or(self.until);
        // A clock that is ahead must not hide what others conclude now.
        let newest = newest.min(now);
        self.until = self
            .until
            .max(newest.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN));
        let until = self.until;
        self.recent.retain(|_, at| *at >= until);
        Ok(())
    }

    /// Counts all runs of a drill that is new here.
    async fn all_of(&mut self, history: &dyn History, drill: &str) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        let mut all = Reading::new(Some(drill), Timestamp::UNIX_EPOCH);
        while let Some(batch) = all.next(history).await? {
            for (at, record) in batch {
                tally.add(&record);
                // It is not to be counted once more.
                if at >= self.until {
                    self.recent.insert(record.id, at);
                }
            }
        }
        Ok(tally)
    }
}

/// Reads concluded runs, batch by batch.
struct Reading<'a> {
    drill: Option<&'a str>,
    since: Timestamp,
    /// Those that were concluded at `since` and are read.
    read: BTreeSet<RunId>,
    ended: bool,
}

impl<'a> Reading<'a> {
    fn new(drill: Option<&'a str>, since: Timestamp) -> Self {
        let read = BTreeSet::new();
        Self {
            drill,
            since,
            read,
            ended: false,
        }
    }

    async fn next(
        &mut self,
        history: &dyn History,
    ) -> Result<Option<Vec<(Timestamp, RunRecord)>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let most = BATCH + u32::try_from(self.read.len()).unwrap_or(u32::MAX);
        let mut batch = history.concluded(self.drill, self.since, most).await?;
        self.ended = batch.len() < most as usize;
        batch.retain(|(_, record)| !self.read.contains(&record.id));
        if let Some((last, _)) = batch.last() {
            if *last > self.since {
                self.read.clear();
            }
            self.since = *last;
            let at_last = batch.iter().filter(|(at, _)| at == last);
            self.read.extend(at_last.map(|(_, record)| record.id));
        }
        Ok(Some(batch))
    }
}
