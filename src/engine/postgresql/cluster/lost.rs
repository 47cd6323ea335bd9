//! What became of the scratch server, where a step failed because of it.

use std::{fs, os::unix::net::UnixStream, time::Duration};

use super::Layout;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::error::{full, tells_no_space},
};

/// How a failure that the server is the reason for begins.
const GONE: &str = "the scratch server went away";
pub(super) const FULL: &str = "the sandbox's disk is full";

/// What the server logs when it, or one of its processes, ends.
const LAST_WORDS: [&str; 4] = [
    "PANIC:",
    "was terminated by signal",
    "unexpected postmaster exit",
    "received immediate shutdown request",
];

/// How long the server may take to write its last words, and how often they
/// are looked for.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// Says that the server went away, and why, if that is what a failed step
/// has met. What a client sees of it is only a closed connection, and it may
/// see that before the server has noticed.
pub(in crate::engine::postgresql) async fn explain(failure: Failure, layout: &Layout) -> Failure {
    if !matches!(
        failure.kind,
        FailureKind::Unavailable | FailureKind::Exhausted
    ) {
        return failure;
    }
    let mut waited = Duration::ZERO;
    loop {
        let log = log_of(layout);
        if tells_no_space(&log) {
            return full_disk(failure, layout);
        }
        let words = last_words(&log);
        if words.is_some() || waited >= PATIENCE {
            let reached = UnixStream::connect(layout.socket()).is_ok();
            return match words {
                None if reached => failure,
                words => gone(failure, words, layout),
            };
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
}

/// Says that the disk is full, if that kept the server from starting.
pub(super) fn explain_start(failure: Failure, layout: &Layout) -> Failure {
    if tells_no_space(&log_of(layout)) {
        full_disk(failure, layout)
    } else {
        failure
    }
}

fn log_of(layout: &Layout) -> String {
    let log = fs::read(&layout.log).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}

/// What the server said of its own end, from the level on.
fn last_words(log: &str) -> Option<&str> {
    let telling = |line: &&str| LAST_WORDS.iter().any(|sign| line.contains(sign));
    let line = log.lines().rfind(telling)?;
    Some(line.split_once("] ").map_or(line, |(_, words)| words))
}

fn full_disk(mut failure: Failure, layout: &Layout) -> Failure {
    failure.kind = FailureKind::Exhausted;
    failure.message = format!("{FULL}: {}", bare(&failure.message));
    full(with_log(failure, layout), &layout.root)
}

fn gone(mut failure: Failure, words: Option<&str>, layout: &Layout) -> Failure {
    let words = words.map(|words| format!(" ({words})"));
    failure.message = format!(
        "{GONE}{}: {}",
        words.unwrap_or_default(),
        bare(&failure.message)
    );
    with_log(failure, layout).hint(
        "it was ended from outside, or crashed: see its last words in the diagnosis, and whether \
         the kernel's log says that memory ran out",
    )
}

/// Without what was already said by whoever met the failure.
fn bare(message: &str) -> &str {
    let said = [GONE, FULL]
        .iter()
        .find_map(|said| message.strip_prefix(said));
    said.map_or(message, |rest| rest.trim_start_matches(": "))
}

fn with_log(failure: Failure, layout: &Layout) -> Failure {
    let new: Vec<_> = layout
        .log_tail()
        .into_iter()
        .filter(|line| !failure.diagnosis.contains(line))
        .collect();
    failure.diagnosis(new)
}
