//! What is counted, and trends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryHistory;
use crate::{
    domain::{
        ids::RunId,
        record::RunRecord,
        tally::{Figures, Tally},
    },
    history::tallies::{CaughtUp, Changed, Mark, Point, Tallies, Trend},
    runner::store::StoreError,
};

#[derive(Debug, Default)]
pub(super) struct Counted {
    runs: BTreeSet<RunId>,
    /// Each with the number of its last change.
    tallies: BTreeMap<String, (i64, Tally)>,
    changes: i64,
}

impl MemoryHistory {
    /// Counts a run whose verdict is drawn, once.
    pub(super) fn count(&self, record: &RunRecord, at: Timestamp) {
        let mut counted = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.runs.insert(record.id) {
            return;
        }
        counted.changes += 1;
        let change = counted.changes;
        let tally = counted.tallies.entry(record.drill.clone()).or_default();
        tally.0 = change;
        tally.1.add(record, at);
    }
}

#[async_trait]
impl Tallies for MemoryHistory {
    async fn tallies(&self, since: Option<&Mark>) -> Result<Changed, StoreError> {
        let counted = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let since = since.map_or(0, |mark| mark.as_of.as_microsecond());
        let all = counted.tallies.iter();
        let changed = all.filter(|(_, (change, _))| *change > since);
        Ok(Changed {
            tallies: changed
                .map(|(drill, (_, tally))| (drill.clone(), Some(tally.clone())))
                .collect(),
            mark: Mark {
                as_of: Timestamp::from_microsecond(counted.changes).unwrap_or_default(),
                seen: BTreeMap::new(),
            },
        })
    }

    async fn catch_up(&self, _: Option<Timestamp>, _: u32) -> Result<CaughtUp, StoreError> {
        Ok(CaughtUp {
            runs: 0,
            left: 0,
            next: None,
        })
    }

    async fn trend(&self, wanted: &Trend) -> Result<Vec<Point>, StoreError> {
        let concluded = self.concluded.lock();
        let concluded = concluded.unwrap_or_else(PoisonError::into_inner);
        let runs = self.runs();
        let of_drill = runs.iter().map(|run| &run.record).filter(|record| {
            let namespace = record.workload.as_ref().map(|of| &of.namespace);
            let namespaces = wanted.namespaces.as_ref();
            record.drill == wanted.drill
                && namespaces
                    .zip(namespace)
                    .is_none_or(|(all, one)| all.contains(one))
        });
        let points = of_drill.filter_map(|record| point(record, *concluded.get(&record.id)?));
        let mut points: Vec<Point> = points
            .filter(|point| {
                wanted
                    .after
                    .is_none_or(|after| (point.concluded_at, point.run) < after)
            })
            .collect();
        points.sort_by_key(|point| std::cmp::Reverse((point.concluded_at, point.run)));
        points.truncate(wanted.limit as usize);
        Ok(points)
    }
}

fn point(record: &RunRecord, concluded_at: Timestamp) -> Option<Point> {
    let figures = Figures::of(record)?;
    Some(Point {
        run: record.id,
        concluded_at,
        verdict: figures.verdict,
        rto_ms: figures.rto_ms,
        rpo_ms: figures.rpo_ms,
        proof: Some(figures.proof),
        negative_control: record.negative_control,
    })
}
