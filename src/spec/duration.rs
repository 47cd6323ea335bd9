//! Durations as users write them.

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
}
