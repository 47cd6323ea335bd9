//! The end of a run: everything is given back, and what cannot be is told.

use std::collections::HashSet;

use super::{
    execute::Passage,
    release::{Unreleased, release},
    store::{StoreError, Write},
};
use crate::{
    domain::{
        event::{EventKind, micros},
        journal::Entry,
        resource::Resource,
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
                let (gone, unseen) = (self.goes_with(acquired), self.elsewhere.is_some());
                self.recorder.update(|record| {
                    let seen = |one: &Resource| {
                        gone.contains(&one.key()) && !(unseen && one.is_directory())
                    };
                    record.gone(now, seen);
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

    /// What is given back with it, by its key: what the recovery point shares with
    /// the copy goes with the copy.
    fn goes_with(&self, acquired: Acquired) -> HashSet<String> {
        let of = |wanted: Acquired| {
            let lines = self.ledger.iter().filter(move |(of, _)| *of == wanted);
            lines.map(|(_, resource)| resource.key())
        };
        let keys = of(acquired).collect::<HashSet<String>>();
        match acquired {
            Acquired::RecoveryPoint => &keys - &of(Acquired::Sandbox).collect(),
            _ => keys,
        }
    }

    async fn leak(&mut self, acquired: Acquired, unreleased: Unreleased) -> Result<(), StoreError> {
        let Unreleased { failure, left } = unreleased;
        // What leaked before stays told until it is gone, or tried again in vain.
        let tried = self.goes_with(acquired);
        self.recorder.update(|record| {
            let mut resources = record.cleanup.leaks().to_vec();
            if !left.is_empty() {
                resources.retain(|leak| !tried.contains(&leak.resource.key()));
            }
            resources.extend(left);
            record.cleanup = Cleanup::Leaked { resources };
        });
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
