//! The end of a service.
//!
//! Runs go on for a while, so whoever looks at them or wants to end one has to be
//! answered until the last of them has ended.

use super::Keeper;
use crate::{runner::cancel::Why, service::order::Order};

impl Keeper {
    /// Lets runs end, then makes them. Nothing begins any more: what waits is found
    /// again by the service that starts next.
    pub(super) async fn end_runs(&mut self) {
        if self.running.is_empty() {
            return self.orders.close();
        }
        let runs = self.running.len();
        tracing::info!(runs, "stopping: waiting for runs to end");
        let mut early = false;
        let grace = tokio::time::sleep(self.parts.grace);
        tokio::pin!(grace);
        while !self.runs.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.runs.join_next() => self.ended(ended).await,
                () = &mut grace, if !early => {
                    early = true;
                    self.end_early();
                }
                Some(order) = self.orders.recv() => self.obey_at_last(order).await,
            }
        }
        self.orders.close();
    }

    fn end_early(&self) {
        let runs = self.running.len();
        tracing::info!(runs, "stopping: ending runs early");
        for running in self.running.values() {
            // What somebody wanted to end is not to go on elsewhere.
            if self.parts.park && running.cancel.why().is_none() {
                running.park.cancel();
            }
            running.cancel.cancel(Why::Stopping);
        }
    }

    /// Answers, but begins nothing. Who wants that hears that the service stops, as
    /// nobody replies.
    async fn obey_at_last(&mut self, order: Order) {
        match order {
            Order::Replace { .. }
            | Order::Run { .. }
            | Order::TakeUp { .. }
            | Order::Answer { .. } => {}
            Order::Cancel { .. }
            | Order::Look { .. }
            | Order::LookAt { .. }
            | Order::LookFor { .. } => self.obey(order).await,
        }
    }
}
