//! Follows a run to its end, whichever process makes it.
//!
//! What a run of this process does is heard at once, from the [`Hub`](super::Hub).
//! But a run may be another process's, and may become one's in the middle: what was
//! begun here is taken over elsewhere, where this process was held up, and the other
//! way round. Nobody tells a stream of that. So each of them also reads the run's record
//! now and again, and tells what it has not told yet; the record's end is the end of
//! the stream, whoever has written it.
//!
//! Both tell the same, so what was told is kept (`heard`), and comes once. What the run
//! itself has said goes first, as it is more exact: it is said before it is written,
//! so whatever a record tells of a run of this process lies in the hub's queue by
//! then, but for what is said right after a write. That one is told from the record.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::response::sse::Event as Sent;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{
    Api,
    events::Receiver,
    heard::Heard,
    problem::Problem,
    promised::{self, Found},
    scope::Scope,
};
use crate::domain::{
    event::{Event, EventKind},
    ids::RunId,
    retold,
};

/// How long after a look at the record the next one begins. Each reads one row.
const PAUSE: Duration = Duration::from_secs(2);

type Look = BoxFuture<'static, Result<Found, Problem>>;

/// One run, followed from some instant on.
pub struct Following {
    api: Arc<Api>,
    scope: Scope,
    run: RunId,
    hub: Receiver,
    heard: Heard,
    /// Whether its record was found, and may be told to who asks.
    begun: bool,
    /// Whether it was promised and will not begin.
    gone: bool,
    ready: VecDeque<Sent>,
    /// The next look at the record. A history that does not answer keeps nobody
    /// from what is heard meanwhile.
    look: Look,
}

impl Following {
    /// Follows a run from where it was `found`. The hub must have been listened to
    /// before.
    pub fn new(api: Arc<Api>, scope: Scope, hub: Receiver, found: &Found) -> Self {
        let run = found.record.id;
        let mut heard = Heard::default();
        if found.begun {
            // Who asks can read it.
            for event in retold::events(&found.record) {
                heard.is_new(&event.kind);
            }
        }
        Self {
            look: later(api.clone(), scope.clone(), run),
            api,
            scope,
            run,
            hub,
            heard,
            begun: found.begun,
            gone: false,
            ready: VecDeque::new(),
        }
    }

    /// What is to be sent next; `None` once the run has ended.
    pub async fn next(&mut self) -> Option<Sent> {
        while self.ready.is_empty() && !self.gone && !self.heard.is_over() {
            tokio::select! {
                heard = self.hub.recv() => match heard {
                    Ok(event) => self.hear(&event).await,
                    Err(RecvError::Lagged(lost)) => self.lost(lost),
                    Err(RecvError::Closed) => self.gone = true,
                },
                found = &mut self.look => {
                    self.look = later(self.api.clone(), self.scope.clone(), self.run);
                    self.catch_up().await;
                    self.read(found);
                }
            }
        }
        self.ready.pop_front()
    }

    /// Of a run that has just begun the record is read first: what may be known of
    /// one that was promised need not be what may be known of it now. And before
    /// the end, for what the run has written and not said.
    async fn hear(&mut self, event: &Event) {
        if event.run != self.run {
            return;
        }
        if !self.begun || matches!(event.kind, EventKind::Finished { .. }) {
            let found = promised::look(&self.api, &self.scope, self.run).await;
            self.read(found);
        }
        self.tell(event);
    }

    /// Hears what was said up to now.
    async fn catch_up(&mut self) {
        // Until its record was seen, nothing is told of it.
        while self.begun {
            match self.hub.try_recv() {
                Ok(event) => self.hear(&event).await,
                Err(TryRecvError::Lagged(lost)) => self.lost(lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Tells what is new in the record.
    fn read(&mut self, found: Result<Found, Problem>) {
        match found {
            Ok(found) if found.begun => {
                self.begun = true;
                for event in retold::events(&found.record) {
                    self.tell(&event);
                }
            }
            Err(problem) if problem.is_not_found() => self.gone = true,
            // It is still to begin, or the history may answer again.
            Ok(_) | Err(_) => {}
        }
    }

    fn tell(&mut self, event: &Event) {
        if self.begun
            && self.heard.is_new(&event.kind)
            && let Ok(sent) = Sent::default().json_data(event)
        {
            self.ready.push_back(sent);
        }
    }

    /// Who is too slow is told so.
    fn lost(&mut self, lost: u64) {
        let sent = Sent::default().event("lost").data(lost.to_string());
        self.ready.push_back(sent);
    }
}

fn later(api: Arc<Api>, scope: Scope, run: RunId) -> Look {
    Box::pin(async move {
        tokio::time::sleep(PAUSE).await;
        promised::look(&api, &scope, run).await
    })
}
