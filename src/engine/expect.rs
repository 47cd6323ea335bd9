//! Whether the answer to a user's query is what the drill expects. Pure.

use std::{cmp::Ordering, time::Duration};

use jiff::{SignedDuration, Timestamp, civil::DateTime};

use crate::spec::drill::{Comparison, Expectation};

/// How many rows of an answer are read.
pub const MOST_ROWS: usize = 10_000;

/// How far ahead of `declared` a timestamp may lie before it is held to be in
/// another time zone.
const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A number beyond this is an epoch in milliseconds: as seconds it would be
/// after the year 5000.
const MILLIS_FROM: f64 = 1.0e11;

/// An answer as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there were more than [`MOST_ROWS`].
    pub cut_off: bool,
}

/// `Ok` says what was found, `Err` what is wrong with it. No value beyond the
/// first one is told.
///
/// # Errors
/// If the expectation is not met.
pub fn judge(
    expectation: &Expectation,
    answer: &Answer,
    declared: Timestamp,
) -> Result<String, String> {
    let count = answer.rows.len();
    match expectation {
        Expectation::SomeRows if count == 0 => Err("gave no row".into()),
        Expectation::NoRows if count > 0 => {
            let or_more = if answer.cut_off { " or more" } else { "" };
            Err(format!("gave {count}{or_more} rows, expected none"))
        }
        Expectation::SomeRows | Expectation::NoRows => Ok(format!("{count} rows")),
        Expectation::Rows(expected) => rows(expected, answer),
        Expectation::Value { operator, operand } => {
            let value = first(answer)?;
            let holds = operator.holds(compare(value, operand));
            told(holds, value.to_owned(), *operator, operand)
        }
        Expectation::Age { operator, limit } => age(first(answer)?, *operator, *limit, declared),
    }
}

fn age(
    text: &str,
    operator: Comparison,
    limit: Duration,
    declared: Timestamp,
) -> Result<String, String> {
    let at = instant(text)?;
    let age = declared.duration_since(at);
    if age < -FUTURE_TOLERANCE {
        return Err(format!(
            "{at} lies after the declared disaster; a time zone?"
        ));
    }
    let age = age.max(SignedDuration::ZERO);
    let most = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let text = format!("{:.1} s old", age.as_secs_f64());
    let limit = format!("{} s", limit.as_secs_f64());
    told(operator.holds(age.cmp(&most)), text, operator, &limit)
}

fn told(holds: bool, value: String, operator: Comparison, operand: &str) -> Result<String, String> {
    if holds {
        Ok(format!("is {value}"))
    } else {
        let symbol = symbol(operator);
        Err(format!("is {value}, expected {symbol} {operand}"))
    }
}

fn symbol(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "=",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn rows(expected: &[Vec<Option<String>>], answer: &Answer) -> Result<String, String> {
    if answer.cut_off {
        return Err(format!("gave more than {MOST_ROWS} rows"));
    }
    if answer.rows.len() != expected.len() {
        let (is, was) = (answer.rows.len(), expected.len());
        return Err(format!("gave {is} rows, expected {was}"));
    }
    match answer.rows.iter().zip(expected).position(|(a, b)| a != b) {
        None => Ok(format!("{} rows as expected", expected.len())),
        Some(index) => Err(format!("row {} is not the expected one", index + 1)),
    }
}

/// The first column of the first row.
fn first(answer: &Answer) -> Result<&str, String> {
    let row = answer.rows.first().ok_or("gave no row")?;
    let value = row.first().ok_or("gave a row without columns")?;
    value.as_deref().ok_or_else(|| "gave null".to_owned())
}

/// The single timestamp of an answer.
///
/// # Errors
/// If there is none.
pub fn single_instant(answer: &Answer) -> Result<Timestamp, String> {
    instant(first(answer)?)
}

/// Reads RFC 3339, `YYYY-MM-DD HH:MM:SS[.f][+zz]`, `YYYY-MM-DD` (UTC where no
/// offset is given) or a Unix epoch in seconds or milliseconds.
fn instant(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(number) = number(text) {
        let seconds = if number.abs() > MILLIS_FROM {
            number / 1e3
        } else {
            number
        };
        return Timestamp::new(0, 0)
            .and_then(|zero| zero.checked_add(SignedDuration::try_from_secs_f64(seconds)?))
            .map_err(|error| format!("is not a time: {error}"));
    }
    // `+00` is PostgreSQL's short offset.
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
        .map_err(|_| "is not a timestamp".to_owned())
}

/// As numbers where both are numbers, else as text.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[Option<&str>]) -> Answer {
        let rows = rows.iter().map(|value| vec![value.map(str::to_owned)]);
        Answer {
            rows: rows.collect(),
            cut_off: false,
        }
    }

    fn holds(expect: &Expectation, rows: &[Option<&str>]) -> bool {
        let declared = "2026-03-01T12:00:00Z".parse().unwrap();
        judge(expect, &answer(rows), declared).is_ok()
    }

    fn check(operator: Comparison, operand: &str, value: &str) -> bool {
        let operand = operand.to_owned();
        holds(&Expectation::Value { operator, operand }, &[Some(value)])
    }

    #[test]
    fn numbers_compare_as_numbers_and_the_rest_as_text() {
        assert!(check(Comparison::Greater, "9", "10"));
        assert!(check(Comparison::Equal, "10.0", "10"));
        assert!(check(Comparison::Equal, "0", "-0.0"));
        let (even, odd) = ("9007199254740992", "9007199254740993");
        assert!(check(Comparison::Greater, even, odd));
        assert!(check(Comparison::Less, "9x", "10x"));
        assert!(check(Comparison::Less, "b", "abc"));
        assert!(!check(Comparison::Equal, "nan", "inf"));
    }

    #[test]
    fn null_and_nothing_satisfy_no_value() {
        let operand = "1".to_owned();
        let operator = Comparison::NotEqual;
        let expect = Expectation::Value { operator, operand };
        assert!(!holds(&expect, &[None]));
        assert!(!holds(&expect, &[]));
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
        for text in ["yesterday", "infinity", ""] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_are_measured_at_the_declared_instant() {
        let expect = Expectation::Age {
            operator: Comparison::LessOrEqual,
            limit: Duration::from_mins(1),
        };
        for (newest, fits) in [
            ("2026-03-01 11:59:00+00", true),
            ("2026-03-01 11:59:00.5", true),
            ("2026-03-01 11:58:59.999+00", false),
            ("2026-03-01", false),
            // Of a clock a little ahead, and of another time zone.
            ("2026-03-01 12:00:01", true),
            ("2026-03-01 14:00:00", false),
        ] {
            assert_eq!(holds(&expect, &[Some(newest)]), fits, "{newest}");
        }
    }

    #[test]
    fn rows_are_compared_whole() {
        let cell = |text: &str| vec![Some(text.to_owned())];
        let expect = Expectation::Rows(vec![cell("a"), vec![None]]);
        assert!(holds(&expect, &[Some("a"), None]));
        assert!(!holds(&expect, &[None, Some("a")]));
        assert!(!holds(&expect, &[Some("a")]));
        assert!(holds(&Expectation::NoRows, &[]));
        assert!(!holds(&Expectation::NoRows, &[None]));
        assert!(holds(&Expectation::SomeRows, &[None]));
        assert!(!holds(&Expectation::SomeRows, &[]));
    }

    #[test]
    fn an_answer_that_was_cut_off_equals_nothing() {
        let mut cut = answer(&[Some("a")]);
        cut.cut_off = true;
        let expect = Expectation::Rows(cut.rows.clone());
        assert!(judge(&expect, &cut, Timestamp::UNIX_EPOCH).is_err());
    }
}
