//! Gathers what a digest sums up.

use super::{
    Notifier,
    concluded::Concluded,
    digest::{Digest, Sum},
    targets::Target,
};
use crate::{domain::record::RunRecord, history::Period, runner::store::StoreError};

impl Notifier {
    /// What happened in a period, as far as it is for a target.
    ///
    /// It says the same whoever asks, and when: runs count where their verdict
    /// was drawn, and fire times where it was noted that they passed.
    pub(super) async fn sum_up(
        &self,
        target: &Target,
        period: Period,
    ) -> Result<Digest, StoreError> {
        let mut sum = Sum::default();
        let mut ended = Concluded::since(period.since);
        while let Some(runs) = ended.next(&*self.history).await? {
            for (_, record) in runs.iter().filter(|(at, _)| period.holds(*at)) {
                if target.sums_up(record) {
                    self.add(&mut sum, record).await?;
                }
            }
            if runs.last().is_some_and(|(last, _)| !period.holds(*last)) {
                break;
            }
        }
        for passed in self.history.passed(period).await? {
            if target.is_about(&passed.drill) {
                sum.pass(&passed);
            }
        }
        Ok(sum.digest())
    }

    async fn add(&self, sum: &mut Sum, record: &RunRecord) -> Result<(), StoreError> {
        let before = if sum.knows(&record.drill) {
            None
        } else {
            self.before(record).await?
        };
        sum.add(record, before.and_then(|before| before.verdict));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::SystemClock,
        domain::{
            budget::Demand, failure::Failure, ids::RunId, journal::Entry, resource::WorkloadRef,
            verdict::Verdict,
        },
        history::memory::MemoryHistory,
        notify::{Client, Event, Events},
        runner::store::{Owner, RunStore, Write},
    };

    struct Nowhere;

    #[async_trait]
    impl Events for Nowhere {
        async fn write(&self, _: &WorkloadRef, _: &Event) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn ended(history: &MemoryHistory, drill: &str, second: i64, control: bool) {
        let at = Timestamp::from_second(second).unwrap();
        let mut record = RunRecord::requested(RunId::new(at), drill, "sqlite", at);
        record.negative_control = control;
        let owner = Owner {
            host: "here".to_owned(),
            boot: "b".to_owned(),
            pid: 1,
            start_ticks: 7,
            service: false,
        };
        let demand = Demand::unlimited(Vec::new());
        let claim = history.begin(&record, &owner, &demand).await.unwrap();
        record.verdict = Some(Verdict::Passed);
        let writes = [Write::Entry(&Entry::Finished), Write::Record(&record)];
        history.write(&claim, at, &writes).await.unwrap();
    }

    /// However many runs ended at one instant, and in the period.
    #[tokio::test]
    async fn every_run_of_the_period_counts_once() {
        let history = Arc::new(MemoryHistory::default());
        for _ in 0..250 {
            ended(&history, "shop", 1_100, false).await;
        }
        for second in 1_000..1_230 {
            ended(&history, "bank", second, false).await;
        }
        // Outside of it, of another drill, and a control.
        for (drill, second, control) in [
            ("shop", 999, false),
            ("shop", 2_000, false),
            ("other", 1_500, false),
            ("shop", 1_500, true),
        ] {
            ended(&history, drill, second, control).await;
        }
        let target = "{ name: a, drills: [shop, bank], digest: { cron: '@daily' }, \
                      slack: { url: { env: X } } }";
        let target: Target = serde_saphyr::from_str(target).unwrap();
        let clock = Arc::new(SystemClock::new());
        let client = Client::new().unwrap();
        let notifier = Notifier::new(clock, history, client, Arc::new(Nowhere));
        let period = Period {
            since: Timestamp::from_second(1_000).unwrap(),
            until: Timestamp::from_second(2_000).unwrap(),
        };
        let digest = notifier.sum_up(&target, period).await.unwrap();
        assert_eq!(digest.runs.passed, 480);
    }
}
