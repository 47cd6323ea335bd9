//! Makes the runs of the service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tracing::Instrument as _;

use super::classes::Classes;
use crate::{
    api::Hub,
    app::{App, Wanted, logged::Logged, reports, taking_up::Ends},
    domain::{
        budget::{Share, share_more},
        event::Listener,
        ids::DrillName,
        record::RunRecord,
    },
    runner::store::StoreError,
    service::{Launch, Orphan, Start},
};

/// Makes the runs of the service.
pub(super) struct Launcher {
    pub app: Arc<App>,
    pub hub: Arc<Hub>,
    pub classes: Classes,
}

#[async_trait]
impl Launch for Launcher {
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError> {
        let log = Logged::new(start.id, &start.drill.name);
        let span = log.span();
        self.make(start, log).instrument(span).await
    }

    async fn take_up(&self, orphan: Orphan, start: Start) -> Result<Option<RunRecord>, StoreError> {
        let log = Logged::new(start.id, &start.drill.name);
        let span = log.span();
        self.go_on(orphan, start, log).instrument(span).await
    }

    fn learnt(&self, drill: &DrillName) -> Vec<Share> {
        self.classes.learnt(drill)
    }
}

impl Launcher {
    /// Makes a run, from its beginning.
    async fn make(&self, start: Start, log: Arc<Logged>) -> Result<RunRecord, StoreError> {
        let mut drill = start.whole()?;
        start.overrides.apply(&mut drill);
        let late = start.due.map(|due| {
            let late = self.app.clock.now().duration_since(due);
            Duration::try_from(late).unwrap_or_default()
        });
        let mut demand = start.demand;
        if demand.limits.per_storage_class != 0 {
            let classes = self.classes.shares(&self.app, &drill).await;
            share_more(&mut demand.shares, classes);
        }
        let wanted = Wanted {
            id: start.id,
            scheduled_for: start.scheduled_for,
            request_key: start.request_key,
            demand,
            faults: &start.overrides.negative_control,
            listeners: vec![self.hub.clone(), log],
            cancel: start.cancel,
            park: start.park,
        };
        let carried_out = self.app.carry_out(&drill, wanted).await;
        // What was refused has not begun.
        let begun = carried_out
            .as_ref()
            .err()
            .is_none_or(|error| !error.is_refusal() && !matches!(error, StoreError::Cancelled));
        if begun {
            self.note(late, start.held_up);
        }
        let record = carried_out.inspect_err(|error| {
            // Of what was given up something may be left.
            if !error.is_refusal() {
                self.app.to_sweep.notify_one();
            }
        })?;
        self.report(&record);
        Ok(record)
    }

    /// Brings the run of a process that is gone to its end.
    async fn go_on(
        &self,
        orphan: Orphan,
        start: Start,
        log: Arc<Logged>,
    ) -> Result<Option<RunRecord>, StoreError> {
        let drill = start.whole()?;
        let listeners: Vec<Arc<dyn Listener>> = vec![self.hub.clone(), log];
        let ends = Ends {
            cancel: start.cancel,
            park: start.park,
        };
        let taken_up = self.app.take_up(&drill, orphan, listeners, ends).await;
        // What could not be ended is found again.
        let record = taken_up.inspect_err(|_| self.app.sweep_soon())?;
        if let Some(record) = &record {
            self.report(record);
        }
        Ok(record)
    }

    /// Without it the result is as good: it can be drawn anew.
    fn report(&self, record: &RunRecord) {
        if let Err(error) = reports::write(record, &self.app.state.report(record.id)) {
            tracing::warn!(error = format!("{error:#}"), "no report is kept");
        }
    }

    /// Notes for how long a run that has begun was held up.
    fn note(&self, late: Option<Duration>, held_up: Option<(&str, Duration)>) {
        if let Some(late) = late {
            self.app.meters.began(late);
        }
        if let Some((limit, waited)) = held_up {
            self.app.meters.held_up(limit, waited);
        }
    }
}
