//! Figures for people: durations, sizes, counts and times.

use jiff::Timestamp;

/// A duration in milliseconds: `84 ms`, `0.84 s`, `12.3 s`, `2 min 5 s`,
/// `1 h 12 min`, `3 d 4 h`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "below a minute nothing is lost")]
pub fn duration_ms(ms: u64) -> String {
    match ms {
        0 => "0 s".to_owned(),
        1..100 => format!("{ms} ms"),
        _ if ms < 60_000 && ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        100..9_995 => format!("{:.2} s", ms as f64 / 1000.0),
        9_995..59_950 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => long_duration((ms + 500) / 1000),
    }
}

/// A duration in microseconds, as [`duration_ms`] shows it: cut to whole
/// milliseconds, as the record does, so that both tell the same figure.
#[must_use]
pub fn duration_us(us: u64) -> String {
    duration_ms(us / 1000)
}

fn long_duration(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..HOUR => two(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => {
            let minutes = (seconds + MINUTE / 2) / MINUTE;
            two(minutes / 60, "h", minutes % 60, "min")
        }
        _ => {
            let hours = (seconds + HOUR / 2) / HOUR;
            two(hours / 24, "d", hours % 24, "h")
        }
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// A measured duration beside its target: exact to the millisecond where
/// rounding would make two different values look the same.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "only for show")]
pub fn beside(measured_ms: u64, target_ms: u64) -> String {
    let shown = duration_ms(measured_ms);
    if measured_ms != target_ms && shown == duration_ms(target_ms) {
        format!("{:.3} s", measured_ms as f64 / 1000.0)
    } else {
        shown
    }
}

/// A size: `512 B`, `12.3 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "only for show")]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count in groups of three, divided by narrow no-break spaces.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with its noun: `1 table`, `3 tables`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// RFC 3339, UTC, whole seconds: `2026-01-02T03:04:05Z`.
#[must_use]
pub fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_on_both_sides_of_every_unit() {
        let shown = [
            (0, "0 s"),
            (84, "84 ms"),
            (840, "0.84 s"),
            (9_994, "9.99 s"),
            (9_995, "10.0 s"),
            (10_000, "10 s"),
            (12_340, "12.3 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min"),
            (125_000, "2 min 5 s"),
            (900_000, "15 min"),
            (3_600_000, "1 h"),
            (4_320_000, "1 h 12 min"),
            (86_400_000, "1 d"),
            (273_600_000, "3 d 4 h"),
        ];
        for (ms, text) in shown {
            assert_eq!(duration_ms(ms), text);
        }
    }

    #[test]
    fn a_narrow_miss_does_not_look_like_the_target() {
        assert_eq!(beside(900_400, 900_000), "900.400 s");
        assert_eq!(beside(900_000, 900_000), "15 min");
        assert_eq!(beside(12_300, 900_000), "12.3 s");
    }

    #[test]
    fn sizes_counts_and_times() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(12_897_485), "12.3 MiB");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(counted(1, "row"), "1 row");
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(timestamp(at), "2026-01-02T03:04:05Z");
    }
}
