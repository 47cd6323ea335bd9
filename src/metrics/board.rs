//! How the page is filled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use prometheus::{Encoder as _, Gauge, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};
use tokio::sync::Mutex;

use super::{
    meters::Meters,
    names::{self, Metric},
    tally::Tally,
};
use crate::{
    domain::{
        ids::RunId,
        record::RunRecord,
        verdict::{Cleanup, Verdict},
    },
    history::History,
    runner::store::StoreError,
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
    tallies: BTreeMap<String, Tally>,
    /// All that was concluded before is counted.
    until: Timestamp,
    /// What was concluded since, and is counted.
    recent: BTreeMap<RunId, Timestamp>,
}

/// What this process knows beside the history.
pub struct Scene<'a> {
    pub now: Timestamp,
    pub drills: Vec<Kept<'a>>,
    pub broken: usize,
    pub running: usize,
    pub waiting: usize,
    pub sweep: Option<Sweep>,
}

/// A drill of the service.
pub struct Kept<'a> {
    pub drill: &'a PackedDrill,
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

    /// The page, in Prometheus' text format. Where the history cannot be read it
    /// is without what stands there.
    ///
    /// # Errors
    /// Never for names that are valid.
    pub async fn page(
        &self,
        history: &dyn History,
        scene: &Scene<'_>,
    ) -> prometheus::Result<String> {
        let mut counted = self.counted.lock().await;
        let page = Page::new()?;
        page.process(scene)?;
        let read = async {
            counted.catch_up(history, scene).await?;
            history.unfinished().await
        };
        match read.await {
            Ok(unfinished) => {
                for kept in &scene.drills {
                    let name = kept.drill.name.as_str();
                    page.drill(kept, counted.tallies.get(name))?;
                }
                for run in unfinished {
                    page.leaks(&run.record);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the history cannot be read for metrics");
                self.meters.errors.inc();
            }
        }
        self.meters.register(&page.registry)?;
        page.text()
    }
}

impl Counted {
    async fn catch_up(
        &mut self,
        history: &dyn History,
        scene: &Scene<'_>,
    ) -> Result<(), StoreError> {
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
                self.tallies.insert(drill.to_owned(), tally);
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
                    tally.add(&record);
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
        let mut tally = Tally::new(drill).map_err(|error| StoreError::Inconsistent {
            run: drill.to_owned(),
            what: error.to_string(),
        })?;
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

/// A page that is being written.
struct Page {
    registry: Registry,
    gauges: BTreeMap<&'static str, GaugeVec>,
    runs: IntCounterVec,
}

impl Page {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let mut gauges = BTreeMap::new();
        for metric in names::METRICS
            .iter()
            .filter(|metric| metric.kind == names::Kind::Gauge)
        {
            if metric.labels.is_empty() {
                continue;
            }
            let gauge = GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
            registry.register(Box::new(gauge.clone()))?;
            gauges.insert(metric.name, gauge);
        }
        let opts = Opts::new(names::RUNS.name, names::RUNS.help);
        let runs = IntCounterVec::new(opts, names::RUNS.labels)?;
        registry.register(Box::new(runs.clone()))?;
        Ok(Self {
            registry,
            gauges,
            runs,
        })
    }

    fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        if let Some(gauge) = self.gauges.get(metric.name) {
            gauge.with_label_values(labels).set(value);
        }
    }

    /// A metric without labels; left out where there is nothing to tell.
    fn alone(&self, metric: Metric, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(metric.name, metric.help)?;
        gauge.set(value);
        self.registry.register(Box::new(gauge))
    }

    fn process(&self, scene: &Scene<'_>) -> prometheus::Result<()> {
        self.set(names::INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        self.alone(names::DRILLS, count(scene.drills.len()))?;
        self.alone(names::BROKEN, count(scene.broken))?;
        self.alone(names::RUNNING, count(scene.running))?;
        self.alone(names::WAITING, count(scene.waiting))?;
        if let Some(sweep) = scene.sweep {
            self.alone(names::SWEPT, time(sweep.at))?;
            self.alone(names::SWEEP_LEAKS, count(sweep.leaks))?;
            self.alone(names::SWEEP_UNSEEN, count(sweep.unseen))?;
        }
        Ok(())
    }

    fn drill(&self, kept: &Kept<'_>, tally: Option<&Tally>) -> prometheus::Result<()> {
        let drill = kept.drill;
        let name = [drill.name.as_str()];
        self.set(names::SINCE, &name, time(kept.since));
        if let Some(schedule) = &drill.schedule {
            self.set(
                names::SUSPENDED,
                &name,
                f64::from(u8::from(schedule.suspended)),
            );
        }
        if let Some(found) = kept.found {
            self.set(names::FOUND, &name, f64::from(u8::from(found)));
        }
        if let Some(at) = kept.starts_at {
            self.set(names::NEXT, &name, time(at));
        }
        for (metric, target) in [
            (names::RTO_TARGET, drill.objectives.rto),
            (names::RPO_TARGET, drill.objectives.rpo),
        ] {
            if let Some(target) = target {
                self.set(metric, &name, target.as_secs_f64());
            }
        }
        // Nothing left is told as well as something.
        self.set(names::LEAKED, &name, 0.0);
        let Some(tally) = tally else {
            return Ok(());
        };
        for verdict in Verdict::ALL {
            let labels = [name[0], verdict.name()];
            let runs = tally.runs.get(&verdict).copied().unwrap_or(0);
            self.runs.with_label_values(&labels).inc_by(runs);
        }
        self.registry.register(Box::new(tally.rtos.clone()))?;
        self.registry.register(Box::new(tally.rpos.clone()))?;
        for (metric, value) in [(names::RTO, tally.rto), (names::RPO, tally.rpo)] {
            if let Some((_, value)) = value {
                self.set(metric, &name, value);
            }
        }
        self.set(names::LAST_SUCCESS, &name, tally.success.map_or(0.0, time));
        if let Some(newest) = &tally.newest {
            self.set(names::LAST_RUN, &name, time(newest.at));
            self.set(names::PROOF, &name, f64::from(newest.proof));
            for verdict in Verdict::ALL {
                let is = f64::from(u8::from(verdict == newest.verdict));
                self.set(names::VERDICT, &[name[0], verdict.name()], is);
            }
            for (result, checks) in newest.checks {
                self.set(names::CHECKS, &[name[0], result], count(checks));
            }
            for (step, seconds) in &newest.steps {
                self.set(names::PHASES, &[name[0], step.name()], *seconds);
            }
            if let Some(lost) = newest.lost {
                self.set(
                    names::LOST,
                    &name,
                    count(usize::try_from(lost).unwrap_or(usize::MAX)),
                );
            }
        }
        Ok(())
    }

    fn leaks(&self, record: &RunRecord) {
        if let Cleanup::Leaked { resources } = &record.cleanup {
            self.set(names::LEAKED, &[&record.drill], count(resources.len()));
        }
    }

    fn text(&self) -> prometheus::Result<String> {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        String::from_utf8(page).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact")]
fn time(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
