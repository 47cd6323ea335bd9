//! Looks for what is to be told, and notes it.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{Notifier, concluded::Concluded, period, targets::Targets};
use crate::{
    domain::{ids::RunId, record::RunRecord},
    history::{Filter, Period, outbox::Subject},
    runner::store::StoreError,
};

/// Runs that ended so long before a service began are still told of.
const BEFORE: Duration = Duration::from_hours(1);

/// Replicas write at the same time: what another one has concluded may be seen
/// so much later than what was concluded after it.
const OVERLAP: Duration = Duration::from_mins(5);

/// A digest waits so long after its period has ended: what ended
/// in it may still be on its way into the history, which is tried for two
/// minutes where it does not answer. Of shorter periods, half of one must do.
const SETTLING: Duration = Duration::from_mins(3);

/// What was looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    until: Option<Timestamp>,
    recent: BTreeMap<RunId, Timestamp>,
    /// The newest period that was noted for each target.
    periods: BTreeMap<String, Period>,
}

impl Notifier {
    /// Looks at runs that have ended since it last did.
    pub(super) async fn look(&self, targets: &Targets) -> Result<(), StoreError> {
        let now = self.clock.now();
        // A clock that was set back must not hide what is concluded now.
        let before = self.seen().until.map(|until| until.min(now));
        let since = before.map_or_else(|| now - BEFORE, |until| until - OVERLAP);
        let mut ended = Concluded::since(since);
        while let Some(runs) = ended.next(&*self.history).await? {
            for (at, record) in &runs {
                if !self.seen().recent.contains_key(&record.id) {
                    self.note(targets, record).await?;
                }
                let mut seen = self.seen();
                seen.recent.insert(record.id, *at);
                // A clock that is ahead must not hide what others conclude now.
                seen.until = seen.until.max(Some((*at).min(now)));
            }
        }
        let mut seen = self.seen();
        if let Some(until) = seen.until {
            seen.recent.retain(|_, at| *at + OVERLAP * 2 > until);
        }
        Ok(())
    }

    async fn note(&self, targets: &Targets, record: &RunRecord) -> Result<(), StoreError> {
        if record.negative_control {
            return Ok(());
        }
        let before = self.before(record).await?;
        let before = before.and_then(|before| before.verdict);
        for target in targets.all() {
            if target.wants(record, before).is_some() {
                let subject = Subject::Run(record.id);
                self.history
                    .post(subject, &target.name, Duration::ZERO)
                    .await?;
            }
        }
        Ok(())
    }

    /// The run of the drill before this one, controls aside.
    pub(super) async fn before(&self, record: &RunRecord) -> Result<Option<RunRecord>, StoreError> {
        let filter = Filter {
            drills: Some(vec![record.drill.clone()]),
            after: Some(record.into()),
            limit: Some(10),
            ..Filter::default()
        };
        let earlier = self.history.list(&filter).await?.into_iter();
        let mut ordinary = earlier.filter(|run| run.verdict.is_some() && !run.negative_control);
        Ok(ordinary.next())
    }

    /// Notes who is to get a digest, as a period has ended.
    pub(super) async fn look_at_periods(&self, targets: &Targets) -> Result<(), StoreError> {
        let now = self.clock.now();
        for target in targets.all() {
            let calendar = target.digest.as_ref();
            let Some(period) = calendar.and_then(|calendar| period::newest(calendar, now)) else {
                continue;
            };
            if self.seen().periods.get(&target.name) == Some(&period) {
                continue;
            }
            let subject = Subject::Period(period);
            let length = Duration::try_from(period.until.duration_since(period.since));
            let settled = period.until + SETTLING.min(length.unwrap_or_default() / 2);
            let wait = Duration::try_from(settled.duration_since(now)).unwrap_or_default();
            self.history.post(subject, &target.name, wait).await?;
            self.seen().periods.insert(target.name.clone(), period);
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
