//! Durations as users write and read them.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The longest duration taken: ten years, in milliseconds.
const LONGEST: u64 = 3_660 * 86_400_000;

/// Reads `90s`, `15m`, `1h30m`, `2d`, `100ms` or ISO 8601 (`PT15M`): whole
/// numbers with units. `None` where it is something else, or beyond ten years.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let millis = match text.strip_prefix(['P', 'p']) {
        Some(rest) => parse_iso(rest)?,
        None => parse_units(text, |unit| {
            UNITS.iter().find(|(name, _)| *name == unit).map(|u| u.1)
        })?,
    };
    (millis <= LONGEST).then(|| Duration::from_millis(millis))
}

fn parse_iso(rest: &str) -> Option<u64> {
    let upper = rest.to_ascii_uppercase();
    let (days, time) = match upper.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (upper.as_str(), None),
    };
    let days_ms = match days {
        "" => None,
        days => Some(parse_units(days, |unit| match unit {
            "D" => Some(86_400_000),
            "W" => Some(7 * 86_400_000),
            _ => None,
        })?),
    };
    let time_ms = match time {
        None => None,
        Some(time) => Some(parse_units(time, |unit| match unit {
            "H" => Some(3_600_000),
            "M" => Some(60_000),
            "S" => Some(1_000),
            _ => None,
        })?),
    };
    match (days_ms, time_ms) {
        (None, None) => None,
        (days, time) => days.unwrap_or(0).checked_add(time.unwrap_or(0)),
    }
}

/// Sums `number unit` pairs; units must get smaller.
fn parse_units(text: &str, factor: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let (mut rest, mut sum, mut last) = (text, 0_u64, u64::MAX);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = factor(rest[..end].trim())?;
        if unit >= last {
            return None;
        }
        last = unit;
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end..];
    }
    Some(sum)
}

/// A duration for people: `0.84 s`, `12.3 s`, `2 min 5 s`, `1 h 12 min`,
/// `2 d 3 h`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let millis = duration.as_millis();
    // Rounded first, so that 59.96 s becomes `1 min` and not `60.0 s`.
    if millis < 9_995 {
        let hundredths = (millis + 5) / 10;
        return format!("{}.{:02} s", hundredths / 100, hundredths % 100);
    }
    if millis < 59_950 {
        let tenths = (millis + 50) / 100;
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (millis + 500) / 1_000;
    if seconds < 3_600 {
        return pair(seconds / 60, "min", seconds % 60, "s");
    }
    let minutes = (millis + 30_000) / 60_000;
    if minutes < 24 * 60 {
        return pair(minutes / 60, "h", minutes % 60, "min");
    }
    let hours = (millis + 1_800_000) / 3_600_000;
    pair(hours / 24, "d", hours % 24, "h")
}

fn pair(large: u128, unit: &str, small: u128, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_a_duration_and_nothing_else() {
        for (text, millis) in [
            ("100ms", 100),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("2d", 172_800_000),
            ("PT15M", 900_000),
            ("P1DT2H", 93_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "15",
            "15 minuts",
            "-5m",
            "5m5m",
            "30m1h",
            "P",
            "PT",
            "PT5",
            "1.5h",
            "m",
            "P1M",
            "99999999999999999999h",
            "4000d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn shows_durations_as_people_say_them() {
        for (millis, text) in [
            (840, "0.84 s"),
            (9_996, "10.0 s"),
            (12_300, "12.3 s"),
            (59_960, "1 min"),
            (125_000, "2 min 5 s"),
            (4_320_000, "1 h 12 min"),
            (3_599_600, "1 h"),
            (183_600_000, "2 d 3 h"),
        ] {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
