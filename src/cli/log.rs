//! The run as plain lines, for a stderr that is no terminal.

use std::io::Write;

use super::{line, relay::Relay};
use crate::{
    domain::event::{Event, Listener},
    report::format,
};

/// Writes one line per step, milestone and check, with the time since the run
/// was requested.
pub struct Log(Relay);

impl Log {
    /// Writes to `out`. A line that cannot be written is lost: the run goes on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(mut out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let draw = move |event: &Event| {
            if let Some(text) = line::text(event) {
                let at = format::duration_us(event.offset_us);
                let _ = writeln!(out, "[{at:>10}] {text}").and_then(|()| out.flush());
            }
        };
        Relay::new(draw).map(Self)
    }

    /// Waits until every line is written.
    pub fn finish(&self) {
        self.0.finish();
    }
}

impl Listener for Log {
    fn hear(&self, event: &Event) {
        self.0.hear(event);
    }
}
