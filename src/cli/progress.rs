//! The run as it goes on, drawn on a terminal.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{line, relay::Relay};
use crate::{
    domain::event::{Event, EventKind, Listener},
    report::words,
};

/// Redraws per second, at most.
const REDRAW_HZ: u8 = 10;

/// Draws a spinner for the step that runs, a bar for each work in it, and
/// leaves a line for all that is done.
pub struct Progress(Relay);

impl Progress {
    /// Draws on stderr.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn stderr() -> std::io::Result<Self> {
        Self::on(ProgressDrawTarget::stderr_with_hz(REDRAW_HZ))
    }

    /// Draws on `target`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn on(target: ProgressDrawTarget) -> std::io::Result<Self> {
        let mut drawing = Drawing {
            all: MultiProgress::with_draw_target(target),
            step: None,
            bars: BTreeMap::new(),
        };
        Relay::new(move |event| drawing.draw(event)).map(Self)
    }

    /// Waits until all is drawn and takes the moving lines away.
    pub fn finish(&self) {
        self.0.finish();
    }
}

impl Listener for Progress {
    fn hear(&self, event: &Event) {
        self.0.hear(event);
    }
}

struct Drawing {
    all: MultiProgress,
    step: Option<ProgressBar>,
    bars: BTreeMap<String, ProgressBar>,
}

impl Drawing {
    fn draw(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { step } => self.spin(words::step(*step).to_owned()),
            EventKind::ReleaseStarted { acquired } => self.spin(format!("giving back {acquired}")),
            EventKind::Progress {
                what,
                done,
                total,
                unit,
            } => {
                let text = format!("{what}: {}", line::amount(*done, *total, *unit));
                self.advance(what, *done, *total, text);
            }
            EventKind::StepDone { .. }
            | EventKind::StepFailed { .. }
            | EventKind::ReleaseFailed { .. }
            | EventKind::Finished { .. } => {
                self.clear();
                self.say(event);
            }
            EventKind::RunStarted { .. }
            | EventKind::Reached { .. }
            | EventKind::Note { .. }
            | EventKind::CheckDone { .. }
            | EventKind::Concluded { .. } => self.say(event),
        }
    }

    fn say(&self, event: &Event) {
        if let Some(text) = line::text(event) {
            let _ = self.all.println(text);
        }
    }

    fn spin(&mut self, message: String) {
        self.clear();
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(message);
        bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(REDRAW_HZ)));
        self.step = Some(bar);
    }

    fn advance(&mut self, what: &str, done: u64, total: u64, text: String) {
        let all = &self.all;
        let bar = self.bars.entry(what.to_owned()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(total));
            let known = total > 0;
            bar.set_style(style(if known { "  {bar:24} {msg}" } else { "  {msg}" }));
            bar
        });
        bar.set_length(total.max(done));
        bar.set_position(done);
        bar.set_message(text.replace(char::is_control, " "));
    }

    fn clear(&mut self) {
        for bar in std::mem::take(&mut self.bars)
            .into_values()
            .chain(self.step.take())
        {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one shows the default.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
