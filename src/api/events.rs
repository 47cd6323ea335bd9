//! Live events of runs, as a stream of server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event as Sent, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast;

use super::{
    Api, follow::Following, problem::Problem, promised, rights::Rights, runs, scope::Scope,
};
use crate::domain::event::{Event, Listener};

/// Who is further behind than this loses events, and is told so.
const BEHIND: usize = 1_024;

/// Where these are heard.
pub type Receiver = broadcast::Receiver<Arc<Event>>;

/// Hands the events of all runs of this process to whoever listens.
pub struct Hub {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Listener for Hub {
    fn hear(&self, event: &Event) {
        // There is an error only where nobody listens.
        if self.sender.receiver_count() > 0 {
            let _ = self.sender.send(Arc::new(event.clone()));
        }
    }
}

impl Hub {
    /// What all runs of this process do from now on.
    pub fn listen(&self) -> Receiver {
        self.sender.subscribe()
    }
}

/// The events of a run from now on, until it ends. What it has done before is in
/// its record. It ends before that where who asked may not be told any more.
pub async fn stream(
    State(api): State<Arc<Api>>,
    scope: Scope,
    rights: Rights,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    // Listened to before the record is read, so that its end is not missed.
    let hub = api.hub.listen();
    let found = promised::look(&api, &scope, runs::parse(&id)?).await?;
    let following = Following::new(api, scope, hub, &found);
    let events = stream::unfold(following, |mut following| async move {
        let sent = following.next().await?;
        Some((Ok(sent), following))
    });
    let events = events.take_until(rights.end());
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(events).keep_alive(alive))
}
