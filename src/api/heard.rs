//! What a stream of events has told already.

use std::collections::HashSet;

use crate::domain::{check::Outcome, event::EventKind, step::Step, timeline::Milestone};

/// What was told of one run, so that nothing is told twice, and nothing after its
/// end: the same comes at once from the run itself, and later from its record.
#[derive(Default)]
pub struct Heard {
    told: HashSet<What>,
    over: bool,
}

/// What happens once in a run.
#[derive(PartialEq, Eq, Hash)]
enum What {
    Begun,
    StepBegun(Step),
    StepEnded(Step),
    Reached(Milestone),
    /// One that is made again may end otherwise.
    Check(String, Outcome, String),
    Noted(String),
    Concluded,
}

impl Heard {
    /// Takes note of an event; gives whether it is to be told.
    pub fn is_new(&mut self, kind: &EventKind) -> bool {
        if self.over {
            return false;
        }
        self.over = matches!(kind, EventKind::Finished { .. });
        what(kind).is_none_or(|what| self.told.insert(what))
    }

    /// Whether the end was told.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// `None` for what no record tells: it comes once.
fn what(kind: &EventKind) -> Option<What> {
    Some(match kind {
        EventKind::RunStarted { .. } => What::Begun,
        EventKind::StepStarted { step } => What::StepBegun(*step),
        EventKind::StepDone { step, .. } | EventKind::StepFailed { step, .. } => {
            What::StepEnded(*step)
        }
        EventKind::Reached { milestone } => What::Reached(*milestone),
        EventKind::CheckDone { check } => {
            What::Check(check.name.clone(), check.outcome, check.summary.clone())
        }
        EventKind::Note { message } => What::Noted(message.clone()),
        EventKind::Concluded { .. } => What::Concluded,
        EventKind::Progress { .. }
        | EventKind::ReleaseStarted { .. }
        | EventKind::ReleaseFailed { .. }
        | EventKind::Finished { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verdict::Cleanup;

    #[test]
    fn nothing_is_told_twice_or_after_the_end() {
        let mut heard = Heard::default();
        let step = Step::Verify;
        let begun = EventKind::StepStarted { step };
        let done = EventKind::StepDone {
            step,
            elapsed_ms: 1,
            summary: String::new(),
        };
        let progress = EventKind::Progress {
            what: String::new(),
            done: 1,
            total: 1,
            unit: crate::domain::event::Unit::Rows,
        };
        let cleanup = Cleanup::Clean;
        let finished = EventKind::Finished { cleanup };
        for (kind, new) in [
            (&begun, true),
            (&progress, true),
            (&begun, false),
            (&progress, true),
            (&finished, true),
            (&done, false),
            (&progress, false),
            (&finished, false),
        ] {
            assert_eq!(heard.is_new(kind), new, "{kind:?}");
        }
        assert!(heard.is_over());
    }
}
