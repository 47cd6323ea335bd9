//! Spreads drills that are due at the same time.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

/// How long after its fire times a drill starts: somewhere within `window`, and
/// always the same for the same name, so that its runs stay as far apart as
/// the schedule says.
#[must_use]
pub fn offset(drill: &str, window: Duration) -> Duration {
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return Duration::ZERO;
    }
    Duration::from_millis(xxh3_64(drill.as_bytes()) % millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_keeps_its_place_and_many_are_spread() {
        let window = Duration::from_hours(1);
        let mut quarters = [0_u32; 4];
        for number in 0..1_000 {
            let name = format!("drill-{number}");
            let at = offset(&name, window);
            assert!(at < window);
            assert_eq!(at, offset(&name, window));
            quarters[usize::try_from(at.as_secs() / 900).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|&n| n > 200), "{quarters:?}");
        assert_eq!(offset("a", Duration::ZERO), Duration::ZERO);
    }
}
