//! Whether the rows of a user's query are what the drill expects. Pure.

use std::cmp::Ordering;

use jiff::{Timestamp, civil::DateTime};

use crate::spec::drill::{Comparison, Expectation};

/// How far ahead of `declared` a timestamp may lie before it is held to be in
/// another time zone, in seconds.
const FUTURE_TOLERANCE: i64 = 300;
/// A number beyond this is an epoch in milliseconds: as seconds it would be
/// after the year 5000.
const MILLIS_FROM: f64 = 1.0e11;

/// Says why `rows` are not what is expected.
///
/// # Errors
/// One line for people.
pub fn evaluate(
    expectation: &Expectation,
    rows: &[Vec<Option<String>>],
    declared_at: Timestamp,
) -> Result<(), String> {
    match expectation {
        Expectation::Value { operator, operand } => value(*operator, operand, rows),
        Expectation::Age { operator, limit } => {
            let at = instant(first(rows)?)?;
            let age = declared_at.as_second() - at.as_second();
            if age < -FUTURE_TOLERANCE {
                return Err(format!(
                    "{at} lies after the declared disaster; a time zone?"
                ));
            }
            let limit = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
            operator
                .holds(age.max(0).cmp(&limit))
                .then_some(())
                .ok_or_else(|| format!("it is {age} s old, the limit is {limit} s"))
        }
        Expectation::Rows(expected) if expected.as_slice() == rows => Ok(()),
        Expectation::Rows(expected) => Err(difference(expected, rows)),
        Expectation::SomeRows if rows.is_empty() => Err("it gave no row".to_owned()),
        Expectation::NoRows if !rows.is_empty() => Err(format!("it gave {} rows", rows.len())),
        Expectation::SomeRows | Expectation::NoRows => Ok(()),
    }
}

/// Reads RFC 3339, `YYYY-MM-DD HH:MM:SS[.f][+zz]`, `YYYY-MM-DD` (UTC where no
/// offset is given) or a Unix epoch in seconds or milliseconds.
///
/// # Errors
/// If it is none of them.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(number) = number(text) {
        let seconds = if number.abs() > MILLIS_FROM {
            number / 1e3
        } else {
            number
        };
        return Timestamp::new(0, 0)
            .and_then(|zero| zero.checked_add(jiff::SignedDuration::try_from_secs_f64(seconds)?))
            .map_err(|error| format!("not a time: {error}"));
    }
    // `+00` and `+0000` are PostgreSQL's and others' short offsets.
    let padded = match text.rfind(['+', '-']) {
        Some(at) if at > 10 && text.len() - at == 3 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    padded
        .parse::<Timestamp>()
        .or_else(|_| {
            let civil: DateTime = padded.parse()?;
            civil
                .to_zoned(jiff::tz::TimeZone::UTC)
                .map(|zoned| zoned.timestamp())
        })
        .map_err(|_| "the first column is not a timestamp".to_owned())
}

fn first(rows: &[Vec<Option<String>>]) -> Result<&str, String> {
    let row = rows.first().ok_or("it gave no row")?;
    let value = row.first().ok_or("it gave no column")?;
    value.as_deref().ok_or_else(|| "it gave null".to_owned())
}

fn value(operator: Comparison, operand: &str, rows: &[Vec<Option<String>>]) -> Result<(), String> {
    let found = first(rows)?;
    if operator.holds(compare(found, operand)) {
        Ok(())
    } else {
        Err(format!(
            "expected {operator:?} `{operand}`, which does not hold"
        ))
    }
}

fn compare(left: &str, right: &str) -> Ordering {
    // Whole numbers first: a float would blur those beyond 2^53.
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return left.cmp(&right);
    }
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    }
}

/// A plain decimal number; not `inf` or `nan`, which are texts here.
fn number(text: &str) -> Option<f64> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let parsed: f64 = text.chars().all(plain).then(|| text.parse().ok())??;
    // Minus zero equals zero for people.
    Some(if parsed == 0.0 { 0.0 } else { parsed })
}

fn difference(expected: &[Vec<Option<String>>], rows: &[Vec<Option<String>>]) -> String {
    if expected.len() != rows.len() {
        return format!("expected {} rows, it gave {}", expected.len(), rows.len());
    }
    let at = expected.iter().zip(rows).position(|(a, b)| a != b);
    format!("row {} is not the expected one", at.map_or(0, |at| at + 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rows(value: &str) -> Vec<Vec<Option<String>>> {
        vec![vec![Some(value.to_owned())]]
    }

    fn check(operator: Comparison, operand: &str, value: &str) -> bool {
        let expectation = Expectation::Value {
            operator,
            operand: operand.to_owned(),
        };
        evaluate(&expectation, &rows(value), Timestamp::UNIX_EPOCH).is_ok()
    }

    #[test]
    fn numbers_compare_as_numbers_and_the_rest_as_text() {
        assert!(check(Comparison::Greater, "9", "10"));
        assert!(check(Comparison::Equal, "10.0", "10"));
        assert!(check(Comparison::Equal, "0", "-0.0"));
        assert!(check(
            Comparison::Greater,
            "9007199254740992",
            "9007199254740993"
        ));
        assert!(check(Comparison::Less, "9x", "10x"));
        assert!(!check(Comparison::Equal, "nan", "inf"));
    }

    #[test]
    fn null_and_nothing_satisfy_no_value() {
        let expectation = Expectation::Value {
            operator: Comparison::NotEqual,
            operand: "1".into(),
        };
        assert!(evaluate(&expectation, &[vec![None]], Timestamp::UNIX_EPOCH).is_err());
        assert!(evaluate(&expectation, &[], Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn every_form_of_a_time_is_read() {
        let expected: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02 03:04:05",
            "2026-01-02 03:04:05+00",
            "2026-01-02 05:04:05+02:00",
            "1767323045",
            "1767323045000",
        ] {
            assert_eq!(instant(text), Ok(expected), "{text}");
        }
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn an_age_is_held_against_the_limit() {
        let declared: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let age = Expectation::Age {
            operator: Comparison::Less,
            limit: Duration::from_mins(1),
        };
        assert!(evaluate(&age, &rows("2026-01-01 23:59:30"), declared).is_ok());
        assert!(evaluate(&age, &rows("2026-01-01 23:58:30"), declared).is_err());
        assert!(evaluate(&age, &rows("2026-01-02 02:00:00"), declared).is_err());
    }

    #[test]
    fn rows_are_compared_whole() {
        let expected = Expectation::Rows(vec![vec![None, Some("a".into())]]);
        let now = Timestamp::UNIX_EPOCH;
        assert!(evaluate(&expected, &[vec![None, Some("a".into())]], now).is_ok());
        assert!(evaluate(&expected, &[vec![None, None]], now).is_err());
        assert!(evaluate(&Expectation::NoRows, &[], now).is_ok());
        assert!(evaluate(&Expectation::SomeRows, &[], now).is_err());
    }
}
