//! Live events of runs, as a stream of server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event as Sent, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Api, problem::Problem, runs, scope::Scope};
use crate::domain::{
    event::{Event, EventKind, Listener},
    ids::RunId,
};

/// Who is further behind than this loses events, and is told so.
const BEHIND: usize = 1_024;

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

/// The events of a run from now on, until it ends. What it has done before is in
/// its record.
pub async fn stream(
    State(api): State<Arc<Api>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    // Listened to before the record is read, so that its end is not missed.
    let receiver = api.hub.sender.subscribe();
    let record = runs::find(&api, &scope, &id).await?;
    let listening = record.finished_at.is_none().then_some(receiver);
    let events = stream::unfold((listening, record.id), |(receiver, run)| async move {
        let mut receiver = receiver?;
        let (sent, ended) = next(&mut receiver, run).await?;
        Some((Ok(sent), ((!ended).then_some(receiver), run)))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(events).keep_alive(alive))
}

async fn next(receiver: &mut broadcast::Receiver<Arc<Event>>, run: RunId) -> Option<(Sent, bool)> {
    loop {
        match receiver.recv().await {
            Ok(event) if event.run == run => {
                let ended = matches!(event.kind, EventKind::Finished { .. });
                let sent = Sent::default().json_data(&*event).ok()?;
                return Some((sent, ended));
            }
            Ok(_) => {}
            Err(RecvError::Lagged(lost)) => {
                let sent = Sent::default().event("lost").data(lost.to_string());
                return Some((sent, false));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}
