//! What the integration tests share.

pub mod asking;
pub mod bench;
pub mod certificate;
pub mod clock;
pub mod copy;
pub mod counted;
pub mod counts;
pub mod database;
pub mod disk;
pub mod engine;
pub mod kinds;
pub mod kubernetes;
pub mod postgres;
pub mod records;
pub mod rich;
pub mod s3;
pub mod served;
pub mod stage;
pub mod stored;
pub mod tamper;
pub mod world;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
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

/// A directory as the place that a step works in.
pub fn room(path: &std::path::Path) -> Room {
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

/// Waits for a state that can be seen; fails if it does not come about.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
