//! Tells others how runs ended.
//!
//! What is to be told is noted in the history before it is tried, so that it
//! survives this process, and only one of several processes tells it. A
//! receiver may hear of a run twice, where the first answer was lost; it never
//! hears nothing because somebody died.

mod guard;
mod message;
mod occasion;
mod post;
mod targets;

pub use self::{
    occasion::Occasion,
    post::Client,
    targets::{Target, Targets},
};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
        record::RunRecord,
    },
    history::{
        Filter, History,
        outbox::{Notice, Subject, pause},
    },
    runner::store::StoreError,
};

/// Runs that ended so long before a service began are still told of.
const BEFORE: Duration = Duration::from_hours(1);

/// Replicas write at the same time: what another one has concluded may be seen
/// so much later than what was concluded after it.
const OVERLAP: Duration = Duration::from_mins(5);

/// How long one process may take to tell something.
const LEASE: Duration = Duration::from_mins(1);

/// After so many tries, about a day, it is given up.
const MOST_TRIES: u32 = 30;

const BATCH: u32 = 100;

/// Tells targets of runs.
pub struct Notifier {
    pub clock: Arc<dyn Clock>,
    pub history: Arc<dyn History>,
    pub client: Client,
    seen: Mutex<Seen>,
}

/// Which runs were looked at.
#[derive(Default)]
struct Seen {
    until: Option<Timestamp>,
    recent: BTreeMap<RunId, Timestamp>,
}

/// What came of trying to tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Sent,
    /// It will be tried again.
    Failed,
    GivenUp,
}

impl Notifier {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, history: Arc<dyn History>, client: Client) -> Self {
        Self {
            clock,
            history,
            client,
            seen: Mutex::default(),
        }
    }

    /// Notes whom to tell of runs that have ended, and tells what is due; gives
    /// what came of each.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn round(&self, targets: &Targets) -> Result<Vec<(String, Outcome)>, StoreError> {
        let looked = self.look(targets).await;
        // What is noted already does not wait for that.
        let due = self.history.take(LEASE, BATCH).await?;
        let told = due.into_iter().map(|notice| self.tell(targets, notice));
        let told = futures_util::future::join_all(told).await;
        looked?;
        told.into_iter().collect()
    }

    /// Looks at runs that have ended since it last did.
    async fn look(&self, targets: &Targets) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = self.seen().until;
        let mut since = before.map_or_else(|| self.clock.now() - BEFORE, |until| until - OVERLAP);
        loop {
            let ended = self.history.concluded(None, since, BATCH).await?;
            for (at, record) in &ended {
                if !self.seen().recent.contains_key(&record.id) {
                    self.note(targets, record).await?;
                }
                let mut seen = self.seen();
                seen.recent.insert(record.id, *at);
                // A clock that is ahead must not hide what others conclude now.
                seen.until = seen.until.max(Some((*at).min(now)));
            }
            match ended.last() {
                Some((last, _)) if ended.len() == BATCH as usize && *last > since => since = *last,
                _ => break,
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
    async fn before(&self, record: &RunRecord) -> Result<Option<RunRecord>, StoreError> {
        let filter = Filter {
            drills: Some(vec![record.drill.clone()]),
            after: Some(record.into()),
            limit: Some(10),
        };
        let earlier = self.history.list(&filter).await?.into_iter();
        let mut ordinary = earlier.filter(|run| run.verdict.is_some() && !run.negative_control);
        Ok(ordinary.next())
    }

    async fn tell(
        &self,
        targets: &Targets,
        notice: Notice,
    ) -> Result<(String, Outcome), StoreError> {
        let name = notice.target.clone();
        let (outcome, again) = match self.try_to_tell(targets, &notice).await? {
            Ok(()) => (Outcome::Sent, None),
            Err(failure) if notice.tries >= MOST_TRIES => {
                tracing::error!(target = name, of = %notice.subject, error = failure.message,
                    "a notice is given up");
                (Outcome::GivenUp, None)
            }
            Err(failure) => {
                let again = pause(notice.tries);
                tracing::warn!(target = name, of = %notice.subject, error = failure.message,
                    seconds = again.as_secs(), "cannot notify; trying again");
                (Outcome::Failed, Some(again))
            }
        };
        self.history.put_off(&notice, again).await?;
        Ok((name, outcome))
    }

    async fn try_to_tell(
        &self,
        targets: &Targets,
        notice: &Notice,
    ) -> Result<Result<(), Failure>, StoreError> {
        // Another process may have read a newer file already. A target that is
        // gone for good is given up in the end.
        let Some(target) = targets.named(&notice.target) else {
            let why = "there is no such target in the file";
            return Ok(Err(Failure::new(FailureKind::NotFound, why)));
        };
        let Subject::Run(run) = notice.subject else {
            let why = "no target gets digests";
            return Ok(Err(Failure::new(FailureKind::NotFound, why)));
        };
        let found = self.history.find(&run.to_string()).await?;
        let Some(record) = found.into_iter().next() else {
            let why = "the run is forgotten";
            return Ok(Err(Failure::new(FailureKind::NotFound, why)));
        };
        let before = self.before(&record).await?;
        let before = before.and_then(|before| before.verdict);
        // It was wanted when it was noted.
        let occasion = target.wants(&record, before);
        let occasion = occasion.unwrap_or(Occasion::Every);
        let message = message::Message {
            occasion,
            record: &record,
            before,
        };
        Ok(self.client.send(target, &message, self.clock.now()).await)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
