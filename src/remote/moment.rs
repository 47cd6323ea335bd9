//! When something happened in the cluster, by our own clock.
//!
//! News may be late: a watch broke, or this process was away. Objects bear times
//! of their own, but those are another clock's, and whole seconds. Two of them
//! can be subtracted, though, and one end of that stretch is known here: the
//! object was made before the answer to the request that made it came. So what
//! happened later happened at most so much after that answer, and a second for
//! what the two times leave out. A milestone is put there, or when it was
//! seen, whichever is earlier: never too early, and late by no more than a
//! second however late the news came.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::k8s::Object;

/// What a time of whole seconds may leave out.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The latest moment at which something happened at `at`, of an object that was
/// made at `created`, both by the cluster, when our monotonic clock said `made`
/// at the latest. `None` where a time is not told.
pub(super) fn of(
    created: Option<Timestamp>,
    at: Option<Timestamp>,
    made: Duration,
) -> Option<Duration> {
    let since = at?.duration_since(created?);
    let since = Duration::try_from(since).unwrap_or_default();
    Some(made + since + RESOLUTION)
}

/// When the cluster made an object.
pub(super) fn created(object: &Object) -> Option<Timestamp> {
    object.metadata.creation_timestamp.as_ref().map(|at| at.0)
}

/// When a volume got its claim; older clusters (before 1.29) do not tell.
pub(super) fn bound(volume: &Object) -> Option<Timestamp> {
    parsed(volume.data.pointer("/status/lastPhaseTransitionTime")?)
}

/// A time as objects bear it.
pub(super) fn parsed(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(1_800_000_000 + second).ok()
    }

    #[test]
    fn another_clocks_times_are_put_on_ours_by_their_difference() {
        let made = Duration::from_millis(5_250);
        assert_eq!(
            of(at(10), at(14), made),
            Some(made + Duration::from_secs(5))
        );
        // A volume may be older than its claim.
        assert_eq!(of(at(10), at(7), made), Some(made + RESOLUTION));
        assert_eq!(of(None, at(7), made), None);
        assert_eq!(of(at(10), None, made), None);
    }
}
