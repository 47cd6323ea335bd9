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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex, mpsc},
        time::Duration,
    };

    use super::*;
    use crate::domain::{
        event::{EventKind, Unit},
        ids::RunId,
        step::Step,
    };

    /// Holds every write back until the test lets it go.
    struct Stalled {
        gate: mpsc::Receiver<()>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.gate.recv();
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn event(kind: EventKind) -> Event {
        let at: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        Event {
            run: RunId::new(at),
            at,
            offset_us: 12_345_678,
            kind,
        }
    }

    #[test]
    fn a_stalled_screen_does_not_stall_the_run_and_loses_no_step() {
        let (open, gate) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let log = Log::new(Stalled {
            gate,
            text: text.clone(),
        })
        .unwrap();
        let (heard, all_heard) = mpsc::channel();
        let log = Arc::new(log);
        let run = log.clone();
        std::thread::spawn(move || {
            run.hear(&event(EventKind::RunStarted {
                drill: "shop\u{1b}[2J".to_owned(),
                engine: "sqlite".to_owned(),
            }));
            for done in 0..100_000 {
                run.hear(&event(EventKind::Progress {
                    what: "dump".to_owned(),
                    done,
                    total: 0,
                    unit: Unit::Rows,
                }));
            }
            let step = Step::Inspect;
            run.hear(&event(EventKind::StepDone {
                step,
                elapsed_ms: 84,
                summary: "2 tables".to_owned(),
            }));
            heard.send(()).unwrap();
        });
        let in_time = all_heard.recv_timeout(Duration::from_secs(20));
        assert_eq!(in_time, Ok(()), "hearing waits for the screen");
        drop(open);
        log.finish();
        log.hear(&event(EventKind::Note {
            message: "too late".to_owned(),
        }));
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "[    12.3 s] drill shop [2J (sqlite) started\n\
             [    12.3 s] ✓ inspect source (84 ms) 2 tables\n"
        );
    }
}
