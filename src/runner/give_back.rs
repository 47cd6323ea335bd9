//! The end of a run: everything is given back, and what cannot be is told.

use super::{
    execute::Passage,
    release::{Unreleased, release},
    store::{StoreError, Write},
};
use crate::{
    domain::{
        event::{EventKind, micros},
        journal::Entry,
        step::Acquired,
        timeline::Milestone,
        verdict::Cleanup,
    },
    engine::EventSink,
};

impl Passage<'_> {
    pub(super) async fn give_back(&mut self, acquired: Acquired) -> Result<(), StoreError> {
        let started = Entry::ReleaseStarted { acquired };
        self.write(&[Write::Entry(&started)]).await?;
        self.advance(&started)?;
        self.recorder.emit(EventKind::ReleaseStarted { acquired });
        let (sandbox, run) = (&*self.runner.sandbox, self.claim.run);
        let result = release(sandbox, run, &self.ledger, acquired).await;
        self.runner.hook.reached("released");
        match result {
            Ok(()) => {
                let entry = Entry::Released { acquired };
                let now = micros(self.recorder.elapsed());
                let unseen = self.elsewhere.is_some();
                self.recorder.update(|record| {
                    record.gone(acquired, now, |one| unseen && one.is_directory());
                });
                let record = self.recorder.snapshot();
                let writes = [
                    Write::Entry(&entry),
                    Write::Strike(acquired),
                    Write::Record(&record),
                ];
                self.write(&writes).await?;
                self.advance(&entry)
            }
            Err(unreleased) => self.leak(acquired, unreleased).await,
        }
    }

    async fn leak(&mut self, acquired: Acquired, unreleased: Unreleased) -> Result<(), StoreError> {
        let Unreleased { failure, left } = unreleased;
        // What leaked before stays told until it is gone, or tried again in vain.
        self.left.extend(left);
        let resources = self.left.clone();
        self.recorder
            .update(|record| record.cleanup = Cleanup::Leaked { resources });
        let entry = Entry::ReleaseFailed {
            acquired,
            failure: failure.clone(),
        };
        let record = self.recorder.snapshot();
        self.write(&[Write::Entry(&entry), Write::Record(&record)])
            .await?;
        self.recorder
            .emit(EventKind::ReleaseFailed { acquired, failure });
        self.advance(&entry)
    }

    pub(super) async fn finish(&mut self) -> Result<(), StoreError> {
        self.recorder.emit(EventKind::Reached {
            milestone: Milestone::Released,
        });
        let now = self.recorder.now();
        let cleanup = match self.elsewhere.take() {
            Some(host) => Cleanup::Elsewhere { host },
            None => Cleanup::Clean,
        };
        self.recorder.update(|record| {
            record.cleanup = cleanup.clone();
            record.finished_at = Some(now);
        });
        let record = self.recorder.snapshot();
        self.write(&[Write::Entry(&Entry::Finished), Write::Record(&record)])
            .await?;
        self.recorder.emit(EventKind::Finished { cleanup });
        self.advance(&Entry::Finished)
    }
}
