//! What a process counts of itself, as it happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use super::names::{self, Metric};

/// Bounds for how late runs begin and how long they wait, in seconds.
const LAGS: [f64; 10] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 600.0, 3_600.0];

/// Bounds for how long the history takes, in seconds.
const ANSWERS: [f64; 9] = [0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0, 60.0];

/// What is counted in a process.
pub struct Meters {
    lag: Histogram,
    held_up: HistogramVec,
    answers: HistogramVec,
    requests: Arc<AtomicU64>,
    pub(super) errors: IntCounter,
    notified: IntCounterVec,
    swept_away: IntCounter,
    catching_up: IntGauge,
    behind: AtomicBool,
}

impl Meters {
    /// Nothing is counted yet, but requests to API servers, which are counted
    /// where they are sent.
    ///
    /// # Errors
    /// Never for names that are valid.
    pub fn new(requests: Arc<AtomicU64>) -> prometheus::Result<Self> {
        let catching_up = IntGauge::new(names::CATCHING_UP.name, names::CATCHING_UP.help)?;
        // Nobody has looked yet.
        catching_up.set(1);
        Ok(Self {
            catching_up,
            behind: AtomicBool::new(true),
            lag: Histogram::with_opts(buckets(names::LAG, &LAGS))?,
            held_up: HistogramVec::new(buckets(names::HELD_UP, &LAGS), names::HELD_UP.labels)?,
            answers: HistogramVec::new(buckets(names::ANSWERS, &ANSWERS), names::ANSWERS.labels)?,
            requests,
            errors: IntCounter::new(names::ERRORS.name, names::ERRORS.help)?,
            notified: IntCounterVec::new(
                Opts::new(names::NOTIFIED.name, names::NOTIFIED.help),
                names::NOTIFIED.labels,
            )?,
            swept_away: IntCounter::new(names::SWEPT_AWAY.name, names::SWEPT_AWAY.help)?,
        })
    }

    /// How long the history takes, by what it does.
    #[must_use]
    pub fn answers(&self) -> HistogramVec {
        self.answers.clone()
    }

    /// A run of a schedule began so long after it was due.
    pub fn began(&self, late: Duration) {
        self.lag.observe(late.as_secs_f64());
    }

    /// A run began after a limit had left no room for it.
    pub fn held_up(&self, limit: &str, waited: Duration) {
        let limit = self.held_up.with_label_values(&[limit]);
        limit.observe(waited.as_secs_f64());
    }

    /// A target was told, or was to be told.
    pub fn notified(&self, target: &str, outcome: &str) {
        self.notified.with_label_values(&[target, outcome]).inc();
    }

    /// A sweep removed so many things that no run owned.
    pub fn swept_away(&self, resources: usize) {
        self.swept_away.inc_by(resources as u64);
    }

    /// Whether runs of before are still to be counted, and whether some cannot be.
    pub fn caught_up(&self, behind: bool, left: bool) {
        self.behind.store(behind, Ordering::Relaxed);
        self.catching_up.set(i64::from(behind || left));
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Puts it all onto a page.
    pub(super) fn register(&self, page: &Registry) -> prometheus::Result<()> {
        let requests = IntCounter::new(names::REQUESTS.name, names::REQUESTS.help)?;
        requests.inc_by(self.requests.load(Ordering::Relaxed));
        page.register(Box::new(requests))?;
        page.register(Box::new(self.lag.clone()))?;
        page.register(Box::new(self.held_up.clone()))?;
        page.register(Box::new(self.answers.clone()))?;
        page.register(Box::new(self.errors.clone()))?;
        page.register(Box::new(self.catching_up.clone()))?;
        page.register(Box::new(self.swept_away.clone()))?;
        page.register(Box::new(self.notified.clone()))
    }
}

fn buckets(metric: Metric, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(metric.name, metric.help).buckets(bounds.to_vec())
}
