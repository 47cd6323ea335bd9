//! The agent's mouth: numbered lines on the standard output.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::protocol::{Line, Said};
use crate::{
    clock::Clock,
    domain::event::{EventKind, micros},
    engine::EventSink,
};

/// How often it says that it is there. The reader learns from the quickest
/// lines how its clock stands to the agent's.
const BEAT: Duration = Duration::from_secs(1);

/// Tells everything.
pub(super) struct Outlet {
    clock: Arc<dyn Clock>,
    /// When it began: no two agents of a pod do so in the same microsecond.
    life: i64,
    origin: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    said: u64,
    broken: Option<std::io::Error>,
}

impl Outlet {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            life: clock.now().as_microsecond(),
            origin: clock.monotonic(),
            clock,
            state: Mutex::default(),
        }
    }

    /// Says one line. After a failure nothing more is tried.
    pub(super) fn say(&self, said: Said) {
        // The lock is held while the line is written: numbers come in order.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.broken.is_some() {
            return;
        }
        let us = micros(self.clock.monotonic().saturating_sub(self.origin));
        let line = Line {
            life: self.life,
            n: state.said + 1,
            us,
            said,
        };
        let written = serde_json::to_string(&line)
            .map_err(std::io::Error::from)
            .and_then(|text| writeln!(std::io::stdout().lock(), "{text}"));
        match written {
            Ok(()) => state.said += 1,
            Err(error) => state.broken = Some(error),
        }
    }

    /// Says that it is there, until it is told to stop.
    pub(super) fn beat(self: &Arc<Self>) -> JoinHandle<()> {
        let outlet = self.clone();
        tokio::spawn(async move {
            loop {
                outlet.say(Said::Beat);
                tokio::time::sleep(BEAT).await;
            }
        })
    }

    /// Whether everything could be said.
    pub(super) fn result(&self) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.broken.take().map_or(Ok(()), Err)
    }
}

impl EventSink for Outlet {
    fn emit(&self, event: EventKind) {
        self.say(Said::Event(event));
    }
}
