//! What the preflights of all engines look at: a backup that is there already,
//! and the room for dump and copy.

use std::path::Path;

use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        recovery_point::RecoveryPoint,
    },
    sandbox::local::free_bytes,
};

/// The backup that a run would take now, or why it would take none.
pub(super) fn backup(subject: &str, found: Result<&RecoveryPoint, Failure>) -> Finding {
    let point = match found {
        Ok(point) => point,
        Err(failure) if failure.kind == FailureKind::NotFound && failure.hint.is_none() => {
            let failure = failure.hint("check the name, and whether the backup job still runs");
            return Finding::failed(subject, &failure);
        }
        Err(failure) => return Finding::failed(subject, &failure),
    };
    let size = mib(point.size_bytes);
    let made = point
        .cut
        .at
        .map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string());
    let location = point.artifact.location();
    let text = format!("the newest backup is {location}, {size}, made {made}");
    Finding::ok(subject, text)
}

/// The room that a drill will take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// What is drilled: a database or a backup.
    pub of: &'static str,
    pub bytes: u64,
    /// What a drill is expected to take, as a multiple of that.
    pub times: u64,
    /// What it takes in any case, as such a multiple.
    pub at_least: u64,
}

/// Whether there is room for dump and copy in the place `scratch`, which is
/// made when it is needed.
pub(super) fn space(scratch: &Path, need: Option<Need>) -> Finding {
    let mut there = scratch.ancestors().filter(|path| path.exists());
    match free_bytes(there.next().unwrap_or(Path::new("/"))) {
        Ok(free) => judge(&scratch.display().to_string(), free, need),
        Err(failure) => Finding::failed(SPACE, &failure),
    }
}

const SPACE: &str = "scratch space";

fn judge(place: &str, free: u64, need: Option<Need>) -> Finding {
    let free_there = format!("{} free at {place}", mib(free));
    let Some(need) = need else {
        return Finding::ok(SPACE, free_there);
    };
    let wanted = need.bytes.saturating_mul(need.times);
    let text = format!(
        "{free_there}; a drill of this {} ({}) is estimated to take {}",
        need.of,
        mib(need.bytes),
        mib(wanted)
    );
    let hint = "make room, or set sandbox.local.directory to a larger place";
    if free >= wanted {
        Finding::ok(SPACE, text)
    } else if free > need.bytes.saturating_mul(need.at_least) {
        Finding::warning(SPACE, text).hint(hint)
    } else {
        Finding::error(SPACE, text).hint(hint)
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Severity;

    #[test]
    fn room_is_judged_by_what_is_drilled() {
        let need = Need {
            of: "database",
            bytes: 100 << 20,
            times: 3,
            at_least: 1,
        };
        let judge = |free: u64| judge("/s", free << 20, Some(need));
        assert_eq!(judge(300).severity, Severity::Ok);
        assert_eq!(judge(299).severity, Severity::Warning);
        assert_eq!(judge(100).severity, Severity::Error);
        assert!(judge(50).message.contains("300 MiB"));
    }
}
