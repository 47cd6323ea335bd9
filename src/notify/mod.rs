//! Tells others how runs ended.
//!
//! What is to be told is noted in the history before it is tried, so that it
//! survives this process, and only one of several processes tells it. A
//! receiver may hear of a run twice, where the first answer was lost; it never
//! hears nothing because somebody died.

mod concluded;
mod digest;
mod event;
mod gather;
mod guard;
mod look;
mod message;
mod occasion;
mod period;
mod post;
mod said;
mod targets;

pub use self::{
    event::{Event, Events},
    occasion::Occasion,
    post::Client,
    targets::{Target, Targets},
};

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use self::{look::Seen, message::Message, post::PATIENCE};
use crate::{
    clock::Clock,
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    history::{
        History, Period,
        outbox::{Notice, Subject, pause},
    },
    runner::store::StoreError,
    schedule::Zone,
};

/// How long one process may take to tell something.
const LEASE: Duration = Duration::from_mins(1);

/// After so many tries, about a day, it is given up.
const MOST_TRIES: u32 = 30;

const BATCH: u32 = 100;

/// Tells targets of runs.
pub struct Notifier {
    clock: Arc<dyn Clock>,
    history: Arc<dyn History>,
    client: Client,
    events: Arc<dyn Events>,
    seen: Mutex<Seen>,
}

/// What came of trying to tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Sent,
    /// The target is not for such a thing.
    Skipped,
    /// It will be tried again.
    Failed,
    GivenUp,
}

/// What came of a try: whether it was told, or why not.
type Tried = Result<Outcome, Failure>;

impl Notifier {
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        history: Arc<dyn History>,
        client: Client,
        events: Arc<dyn Events>,
    ) -> Self {
        Self {
            clock,
            history,
            client,
            events,
            seen: Mutex::default(),
        }
    }

    /// Notes whom to tell of runs that have ended and of periods, and tells what
    /// is due; gives what came of each, and where the history could not be read
    /// or written.
    pub async fn round(&self, targets: &Targets) -> (Vec<(String, Outcome)>, Vec<StoreError>) {
        let looked = self.look(targets).await;
        let ended = self.look_at_periods(targets).await;
        let mut errors: Vec<_> = [looked.err(), ended.err()].into_iter().flatten().collect();
        // What is noted already does not wait for that.
        let due = self.history.take(LEASE, BATCH).await;
        let due = due.unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        let told = due.into_iter().map(|notice| self.tell(targets, notice));
        let mut outcomes = Vec::new();
        for told in futures_util::future::join_all(told).await {
            match told {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => errors.push(error),
            }
        }
        (outcomes, errors)
    }

    async fn tell(
        &self,
        targets: &Targets,
        notice: Notice,
    ) -> Result<(String, Outcome), StoreError> {
        let name = notice.target.clone();
        // What the history does not tell is tried as often as anything else.
        let tried = self.try_to_tell(targets, &notice).await;
        let tried = tried.unwrap_or_else(|error| Err(Failure::from(&error)));
        let (outcome, again) = match tried {
            Ok(outcome) => (outcome, None),
            Err(failure) if notice.tries >= MOST_TRIES => {
                tracing::error!(to = name, about = %notice.subject, error = failure.message,
                    "a notice is given up");
                (Outcome::GivenUp, None)
            }
            Err(failure) => {
                let again = pause(notice.tries);
                tracing::warn!(to = name, about = %notice.subject, error = failure.message,
                    seconds = again.as_secs(), "cannot notify; trying again");
                (Outcome::Failed, Some(again))
            }
        };
        self.history.put_off(&notice, again).await?;
        Ok((name, outcome))
    }

    async fn try_to_tell(&self, targets: &Targets, notice: &Notice) -> Result<Tried, StoreError> {
        // Another process may have read a newer file already. A target that is
        // gone for good is given up in the end.
        let Some(target) = targets.named(&notice.target) else {
            let why = "there is no such target in the file";
            return Ok(Err(Failure::new(FailureKind::NotFound, why)));
        };
        match notice.subject {
            Subject::Run(run) => self.tell_of_run(target, run).await,
            Subject::Period(period) => self.tell_of_period(target, period).await,
        }
    }

    async fn tell_of_run(&self, target: &Target, run: RunId) -> Result<Tried, StoreError> {
        let found = self.history.find(&run.to_string()).await?;
        let Some(record) = found.into_iter().next() else {
            let why = "the run is forgotten";
            return Ok(Err(Failure::new(FailureKind::NotFound, why)));
        };
        let before = self.before(&record).await?;
        let before = before.and_then(|before| before.verdict);
        // It was wanted when it was noted.
        let occasion = target.wants(&record, before);
        let message = Message {
            occasion: occasion.unwrap_or(Occasion::Every),
            record: &record,
            before,
        };
        if target.kubernetes_events.is_some() {
            return Ok(self.write_event(target, &message).await);
        }
        let said = message.said(target.text.as_deref());
        let sent = self.client.send(target, &said, self.clock.now()).await;
        Ok(sent.map(|()| Outcome::Sent))
    }

    async fn write_event(&self, target: &Target, message: &Message<'_>) -> Tried {
        let Some(workload) = &message.record.workload else {
            return Ok(Outcome::Skipped);
        };
        let text = message.text(target.text.as_deref());
        let event = Event::of(message.record, &text, self.clock.now());
        // A cluster that does not answer must not hold up what others are told.
        let written = tokio::time::timeout(PATIENCE, self.events.write(workload, &event)).await;
        written.unwrap_or_else(|_| {
            let why = format!(
                "no answer of the API server within {} s",
                PATIENCE.as_secs()
            );
            Err(Failure::new(FailureKind::Timeout, why))
        })?;
        Ok(Outcome::Sent)
    }

    async fn tell_of_period(&self, target: &Target, period: Period) -> Result<Tried, StoreError> {
        // What the target is may have changed since.
        if target.kubernetes_events.is_some() {
            return Ok(Ok(Outcome::Skipped));
        }
        let digest = self.sum_up(target, period).await?;
        let zone = target.digest.as_ref().map(|calendar| &calendar.zone);
        let said = digest.said(period, zone.unwrap_or(&Zone::utc()));
        let sent = self.client.send(target, &said, self.clock.now()).await;
        Ok(sent.map(|()| Outcome::Sent))
    }
}
