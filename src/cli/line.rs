//! One event as one line.

use crate::{
    domain::{
        check::Outcome,
        event::{Event, EventKind, Unit},
        verdict::Cleanup,
    },
    report::{format, words},
};

/// The line, without the time; `None` for what is not worth one.
pub(super) fn text(event: &Event) -> Option<String> {
    let line = match &event.kind {
        EventKind::RunStarted { drill, engine } => format!("drill {drill} ({engine}) started"),
        EventKind::StepStarted { step } => format!("{} …", words::step(*step)),
        EventKind::StepDone {
            step,
            elapsed_ms,
            summary,
        } => {
            let took = format::duration_ms(*elapsed_ms);
            format!("✓ {} ({took}) {summary}", words::step(*step))
        }
        EventKind::StepFailed { step, failure } => {
            let hint = failure.hint.as_ref();
            let hint = hint
                .map(|hint| format!("; hint: {hint}"))
                .unwrap_or_default();
            format!("✗ {}: {}{hint}", words::step(*step), failure.message)
        }
        EventKind::Reached { milestone } => format!("◆ {}", words::milestone(*milestone)),
        EventKind::Progress { .. } => return None,
        EventKind::Note { message } => format!("note: {message}"),
        EventKind::CheckDone { check } => {
            let mark = match check.outcome {
                Outcome::Pass => "✓ check",
                Outcome::Fail => "✗ check FAILED",
                Outcome::Untested => "– check UNTESTED",
            };
            format!("{mark} {}: {}", check.name, check.summary)
        }
        EventKind::Concluded { verdict } => {
            format!("verdict: {}", words::verdict(Some(*verdict)).0)
        }
        EventKind::ReleaseStarted { acquired } => format!("giving back: {acquired}"),
        EventKind::ReleaseFailed { acquired, failure } => {
            format!("✗ could not give back {acquired}: {}", failure.message)
        }
        EventKind::Finished { cleanup } => match cleanup {
            Cleanup::Clean => "finished, nothing is left behind".to_owned(),
            Cleanup::Pending => "finished, cleanup is pending".to_owned(),
            Cleanup::Elsewhere { host } => {
                format!("finished; what is left on {host} is removed by a sweep there")
            }
            Cleanup::Leaked { resources } => {
                format!("finished, {} could not be removed", resources.len())
            }
        },
    };
    // Names come from databases: they must not drive the terminal.
    Some(line.replace(char::is_control, " "))
}

/// How far some work is: `120.0 MiB of 1.2 GiB`.
pub(super) fn amount(done: u64, total: u64, unit: Unit) -> String {
    let show = |value| match unit {
        Unit::Bytes => format::bytes(value),
        Unit::Rows => format::counted(value, "row"),
        Unit::Items => format::count(value),
    };
    if total == 0 {
        show(done)
    } else {
        format!("{} of {}", show(done), show(total))
    }
}
