//! What is told of each drill.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    board::Kept,
    names::{self, Metric},
};
use crate::domain::{
    check::Proof,
    tally::{Newest, Spread, Tally},
    verdict::Verdict,
};

/// A drill, and what the history says of it.
pub(super) struct Row {
    pub kept: Kept,
    /// `None` where it cannot be read here.
    pub tally: Option<Arc<Tally>>,
    /// Whether runs of before are still to be counted: what falls while a version
    /// is replaced, and rises to what it was, would look like news.
    pub behind: bool,
    /// Since when it is known.
    pub since: Option<Timestamp>,
}

/// A metric of drills.
pub(super) struct Series {
    pub metric: Metric,
    pub tell: Tell,
}

/// How it is told of one of them.
#[derive(Clone, Copy)]
pub(super) enum Tell {
    /// A value, where there is one.
    One(fn(&Row) -> Option<f64>),
    /// Values by another label.
    Several(fn(&Row) -> Vec<(&'static str, f64)>),
    Spread(fn(&Tally) -> &Spread),
}

const fn one(metric: Metric, value: fn(&Row) -> Option<f64>) -> Series {
    let tell = Tell::One(value);
    Series { metric, tell }
}

const fn several(metric: Metric, values: fn(&Row) -> Vec<(&'static str, f64)>) -> Series {
    let tell = Tell::Several(values);
    Series { metric, tell }
}

const fn spread(metric: Metric, spread: fn(&Tally) -> &Spread) -> Series {
    let tell = Tell::Spread(spread);
    Series { metric, tell }
}

/// All of them but for what drills leave behind.
pub(super) const OF_DRILLS: [Series; 19] = [
    one(names::SINCE, |row| row.since.map(time)),
    one(names::INTERVAL, |row| {
        row.kept.drill.interval.map(|seconds| seconds.get().into())
    }),
    one(names::SUSPENDED, |row| {
        let schedule = row.kept.drill.schedule.as_ref()?;
        Some(yes(schedule.suspended))
    }),
    one(names::FOUND, |row| row.kept.found.map(yes)),
    one(names::NEXT, |row| row.kept.starts_at.map(time)),
    one(names::RTO_TARGET, |row| {
        let target = row.kept.drill.objectives.rto?;
        Some(target.as_secs_f64())
    }),
    one(names::RPO_TARGET, |row| {
        let target = row.kept.drill.objectives.rpo?;
        Some(target.as_secs_f64())
    }),
    several(names::RUNS, |row| {
        by_verdict(row.whole(), |tally, verdict| {
            count(tally.runs.get(&verdict).copied().unwrap_or(0))
        })
    }),
    spread(names::RTOS, |tally| &tally.rtos),
    spread(names::RPOS, |tally| &tally.rpos),
    one(names::RTO, |row| row.tally.as_ref()?.rto.map(value)),
    one(names::RPO, |row| row.tally.as_ref()?.rpo.map(value)),
    one(names::LAST_SUCCESS, |row| {
        let success = row.tally.as_ref()?.success.map(time);
        success.or_else(|| row.whole().map(|_| 0.0))
    }),
    one(names::LAST_RUN, |row| {
        Some(time(row.newest()?.requested_at))
    }),
    one(names::PROOF, |row| Some(level(row.newest()?.proof))),
    several(names::VERDICT, |row| {
        by_verdict(row.newest(), |newest, verdict| {
            yes(verdict == newest.verdict)
        })
    }),
    several(names::CHECKS, |row| {
        let checks = row.newest().into_iter().flat_map(|newest| {
            let of = newest.checks;
            [
                ("pass", of.pass),
                ("fail", of.fail),
                ("untested", of.untested),
            ]
        });
        checks
            .map(|(result, checks)| (result, size(checks)))
            .collect()
    }),
    several(names::PHASES, |row| {
        let steps = row.newest().into_iter().flat_map(|newest| &newest.steps);
        steps
            .map(|(step, us)| (step.name(), Duration::from_micros(*us).as_secs_f64()))
            .collect()
    }),
    one(names::LOST, |row| row.newest()?.lost.map(count)),
];

impl Row {
    /// What is counted, where that is everything.
    pub(super) fn whole(&self) -> Option<&Tally> {
        self.tally.as_deref().filter(|_| !self.behind)
    }

    fn newest(&self) -> Option<&Newest> {
        self.tally.as_ref()?.newest.as_ref()
    }
}

fn by_verdict<T>(of: Option<&T>, value: impl Fn(&T, Verdict) -> f64) -> Vec<(&'static str, f64)> {
    let all = of
        .into_iter()
        .flat_map(|of| Verdict::ALL.map(|verdict| (of, verdict)));
    all.map(|(of, verdict)| (verdict.name(), value(of, verdict)))
        .collect()
}

fn value((_, ms): (Timestamp, u64)) -> f64 {
    seconds(ms)
}

/// As it is documented.
fn level(proof: Proof) -> f64 {
    match proof {
        Proof::None => 0.0,
        Proof::Asserted => 1.0,
        Proof::Structural => 2.0,
        Proof::Canary => 3.0,
        Proof::Exact => 4.0,
    }
}

pub(super) fn seconds(ms: u64) -> f64 {
    count(ms) / 1_000.0
}

fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}

pub(super) fn size(number: usize) -> f64 {
    count(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact")]
pub(super) fn time(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
