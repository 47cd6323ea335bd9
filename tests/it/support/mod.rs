//! What the integration tests share.

pub mod postgres;
pub mod records;
pub mod rich;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{event::EventKind, ids::RunId},
    engine::{Context, EventSink},
    sandbox::Room,
};
use tokio_util::sync::CancellationToken;

/// Keeps every event for the test to look at.
#[derive(Debug, Default)]
pub struct Heard(pub Mutex<Vec<EventKind>>);

impl EventSink for Heard {
    fn emit(&self, event: EventKind) {
        self.0.lock().unwrap().push(event);
    }
}

/// A directory as a place to work in.
pub fn room(path: &Path) -> Room {
    Room::Directory(path.to_owned())
}

/// A context of a new run, and what is heard of it.
pub fn context() -> (Context, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let clock = SystemClock::new();
    let context = Context {
        run: RunId::new(clock.now()),
        clock: Arc::new(clock),
        events: heard.clone(),
        cancel: CancellationToken::new(),
    };
    (context, heard)
}
