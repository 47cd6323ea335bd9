//! Runs drills by their schedules, as long as the process lives.
//!
//! One task, the keeper, owns what is known of every drill: when it is due,
//! whether it waits or runs. Others ask it through [`Service`]. It decides by
//! pure rules ([`schedule::plan`](crate::schedule::plan),
//! [`budget`](crate::domain::budget)), and the
//! history decides whether a fire time is still to be had: so a keeper that
//! forgets everything, or has a twin, runs nothing twice.

mod keeper;
mod order;
mod queue;
mod shares;
mod waitlist;

pub use self::{
    order::{Backups, DrillState, Heir, Launch, Orphan, Refused, Start, State, Status},
    shares::shares,
};

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{keeper::Keeper, order::Order};
use crate::{
    clock::Clock,
    domain::{
        budget::Limits,
        ids::{DrillName, RunId},
    },
    history::{agenda::Agenda, replicas::Replicas, requests::Requests},
    runner::{overrides::Overrides, store::StoreError},
    spec::packed::PackedDrill,
};

/// What a service is made of.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub agenda: Arc<dyn Agenda>,
    pub requests: Arc<dyn Requests>,
    pub replicas: Arc<dyn Replicas>,
    pub launch: Arc<dyn Launch>,
    pub backups: Arc<dyn Backups>,
    pub limits: Limits,
    /// How long runs may go on once the service is to stop; then they are
    /// cancelled, and give everything back.
    pub grace: Duration,
    /// Whether those whose copies go on by themselves are left to the service that
    /// starts next instead.
    pub park: bool,
    /// Asks the service to stop.
    pub stop: CancellationToken,
}

/// A way to the keeper.
#[derive(Clone)]
pub struct Service {
    orders: mpsc::Sender<Order>,
}

/// Starts the keeper. Its task ends when it was asked to stop and no run is
/// left, or with an error if it cannot go on.
#[must_use]
pub fn start(parts: Parts) -> (Service, JoinHandle<()>) {
    let (orders, heard) = mpsc::channel(64);
    let task = tokio::spawn(Keeper::new(parts, heard).keep());
    (Service { orders }, task)
}

impl Service {
    /// Takes these drills in place of those before. Runs that go on go on; the
    /// schedule of a drill that stays is not begun anew.
    ///
    /// # Errors
    /// If the history cannot be read; the drills before stay.
    pub async fn replace(&self, drills: Vec<Arc<PackedDrill>>) -> Result<(), Refused> {
        let asked = |reply| Order::Replace { drills, reply };
        self.ask(asked).await?.map_err(Refused::from)
    }

    /// Asks for a run. It starts as soon as there is room for it. Of requests
    /// with the same name only the first one does something.
    ///
    /// # Errors
    /// If there is no such drill, it runs or waits already, the name was used for
    /// another one, or the history cannot be written.
    pub async fn run(
        &self,
        drill: DrillName,
        key: Option<String>,
        overrides: Overrides,
    ) -> Result<RunId, Refused> {
        let asked = |reply| Order::Run {
            drill,
            key,
            overrides,
            reply,
        };
        self.ask(asked).await?
    }

    /// Takes up a run of a process that is gone, if its drill is one of this service.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn take_up(&self, orphan: Orphan) -> Result<Heir, Refused> {
        self.ask(|reply| Order::TakeUp { orphan, reply }).await
    }

    /// Ends a run early; gives whether it was going on or waiting here, and is not
    /// any more.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn cancel(&self, run: RunId) -> Result<bool, Refused> {
        self.ask(|reply| Order::Cancel { run, reply }).await
    }

    /// Shows that the keeper does what it is asked.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn answers(&self) -> Result<(), Refused> {
        self.ask(|reply| Order::Answer { reply }).await
    }

    /// How things stand.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn status(&self) -> Result<Status, Refused> {
        self.ask(|reply| Order::Look { reply }).await
    }

    /// How the drill stands of which this run goes on here, or waits.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn whose(&self, run: RunId) -> Result<Option<DrillState>, Refused> {
        self.ask(|reply| Order::LookFor { run, reply }).await
    }

    /// How a drill stands, if there is one of that name.
    ///
    /// # Errors
    /// If the service has stopped.
    pub async fn drill(&self, drill: DrillName) -> Result<Option<DrillState>, Refused> {
        self.ask(|reply| Order::LookAt { drill, reply }).await
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Order,
    ) -> Result<T, Refused> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let sent = self.orders.send(order(reply)).await;
        sent.map_err(|_| Refused::Stopped)?;
        answer.await.map_err(|_| Refused::Stopped)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed((&error).into())
    }
}
