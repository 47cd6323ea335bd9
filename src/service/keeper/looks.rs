//! Drills that run after each new backup: looking for one.
//!
//! A look may take its time, so it is a task of its own; the keeper goes on
//! meanwhile. The backup's own time is the fire time of its run. So it does not
//! matter who sees it first, and a keeper that starts anew finds out from the
//! history which ones were drilled.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::Keeper;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::DrillName,
    },
    history::agenda::is_ahead,
    runner::store::StoreError,
    schedule::{Looks, Schedule},
    service::{
        order::unpack,
        waitlist::{Due, Waiting},
    },
    spec::packed::PackedDrill,
};

/// No look may take longer.
const LONGEST: Duration = Duration::from_mins(5);

/// What a look has found.
pub(super) struct Looked {
    drill: DrillName,
    newest: Result<Option<Timestamp>, Failure>,
}

impl Keeper {
    /// Looks for a new backup of a drill, unless nothing could start now.
    pub(super) fn begin_look(
        &mut self,
        drill: &Arc<PackedDrill>,
        (schedule, looks): (&Schedule, &Looks),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.queue.put(&drill.name, Some(now + looks.every));
        if schedule.prevented(now).is_some() || self.is_busy(&drill.name) {
            return Ok(());
        }
        let whole = unpack(drill)?;
        if !self.looking.insert(drill.name.clone()) {
            tracing::debug!(drill = %drill.name, "the last look for a backup goes on");
            return Ok(());
        }
        let (drill, backups) = (drill.name.clone(), self.parts.backups.clone());
        self.looks.spawn(async move {
            // One that panics or never ends must not look as if it went on.
            let looking = async move { backups.newest(&whole).await };
            let looked = tokio::spawn(tokio::time::timeout(LONGEST, looking)).await;
            let newest = match looked {
                Ok(Ok(newest)) => newest,
                Ok(Err(_)) => Err(Failure::new(FailureKind::Timeout, "no answer in time")),
                Err(error) => Err(Failure::new(FailureKind::Internal, error.to_string())),
            };
            Looked { drill, newest }
        });
        Ok(())
    }

    /// Takes what a look has found. What two looks in a row have found the same
    /// is whole.
    pub(super) fn end_look(&mut self, looked: Looked) {
        let Looked {
            drill: name,
            newest,
        } = looked;
        self.looking.remove(&name);
        let newest = newest.unwrap_or_else(|failure| {
            tracing::warn!(drill = %name, error = failure.message, "cannot look for backups");
            None
        });
        // As the history keeps times.
        let newest = newest.and_then(|at| Timestamp::from_microsecond(at.as_microsecond()).ok());
        let busy = self.is_busy(&name);
        let Some(kept) = self.drills.get(&name) else {
            return;
        };
        // The drill may have become another one meanwhile.
        let now = self.parts.clock.now();
        let waits = kept.drill.schedule.as_ref();
        let waits = waits.filter(|schedule| schedule.trigger.looks().is_some());
        if waits.is_none_or(|schedule| schedule.prevented(now).is_some()) {
            return;
        }
        let before = match newest {
            Some(newest) => self.seen.insert(name.clone(), newest),
            None => self.seen.remove(&name),
        };
        let ahead = newest.filter(|made| is_ahead(*made, now));
        if let Some(made) = ahead.filter(|made| before != Some(*made)) {
            let message = "the newest backup is of a time to come: no run follows until it is gone";
            tracing::warn!(drill = %name, %made, "{message}");
        }
        let whole = newest.filter(|newest| before == Some(*newest) && *newest > kept.settled);
        let whole = whole.filter(|_| ahead.is_none());
        if let (Some(made), false) = (whole, busy) {
            let drill = kept.drill.clone();
            match self.drill_backup(drill, made) {
                Ok(()) => self.settled(&name, made),
                Err(error) => tracing::error!(drill = %name, %error, "cannot drill a backup"),
            }
        }
    }

    fn drill_backup(&mut self, drill: Arc<PackedDrill>, made: Timestamp) -> Result<(), StoreError> {
        let Some(schedule) = &drill.schedule else {
            return Ok(());
        };
        let now = self.parts.clock.now();
        let fire = Due {
            scheduled_for: made,
            starts_at: now,
            until: now + schedule.starting_deadline,
        };
        let waiting = Waiting::new(drill, now, Some(fire), None)?;
        self.waiting.push(waiting);
        Ok(())
    }
}
