//! Makes the runs of the service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    api::Hub,
    app::{App, Wanted, reports},
    domain::record::RunRecord,
    metrics::Board,
    runner::store::StoreError,
    service::{Launch, Start},
};

/// Makes the runs of the service.
pub(super) struct Launcher {
    pub app: Arc<App>,
    pub hub: Arc<Hub>,
    pub board: Arc<Board>,
}

#[async_trait]
impl Launch for Launcher {
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError> {
        let late = start
            .due
            .map(|due| self.app.clock.now().duration_since(due));
        let wanted = Wanted {
            id: start.id,
            scheduled_for: start.scheduled_for,
            request_key: start.request_key,
            demand: start.demand,
            faults: &[],
            listeners: vec![self.hub.clone()],
            cancel: start.cancel,
        };
        let carried_out = self.app.carry_out(&start.drill, wanted).await;
        // What was refused has not begun.
        let begun = carried_out
            .as_ref()
            .err()
            .is_none_or(|error| !error.is_refusal());
        if let (Some(late), true) = (late, begun) {
            self.board
                .began(Duration::try_from(late).unwrap_or_default());
        }
        let record = carried_out.inspect_err(|error| {
            // Of what was given up something may be left.
            if !error.is_refusal() {
                self.app.to_sweep.notify_one();
            }
        })?;
        // Without it the result is as good: it can be drawn anew.
        if let Err(error) = reports::write(&record, &self.app.state.report(record.id)) {
            tracing::warn!(run = %record.id, error = format!("{error:#}"), "no report is kept");
        }
        Ok(record)
    }
}
