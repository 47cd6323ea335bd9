//! Whether an answer is what the drill expects.

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;

use super::reader::{Answer, MOST_ROWS};
use crate::spec::drill::{Comparison, Expectation};

/// `Ok` says what was found, `Err` what is wrong with it. No values beyond
/// the first one are told.
///
/// # Errors
/// If the expectation is not met.
pub fn judge(expect: &Expectation, answer: &Answer, declared: Timestamp) -> Result<String, String> {
    let count = answer.rows.len();
    match expect {
        Expectation::SomeRows if count == 0 => Err("gave no row".into()),
        Expectation::NoRows if count > 0 => {
            let or_more = if answer.cut_off { " or more" } else { "" };
            Err(format!("gave {count}{or_more} rows, expected none"))
        }
        Expectation::SomeRows | Expectation::NoRows => Ok(format!("{count} rows")),
        Expectation::Rows(expected) => rows(expected, answer),
        Expectation::Value { operator, operand } => {
            let value = first(answer)?;
            let holds = compare(value, operand)
                .map_or(*operator == Comparison::NotEqual, |o| operator.holds(o));
            told(holds, value.to_owned(), *operator, operand)
        }
        Expectation::Age { operator, limit } => {
            let newest = timestamp(first(answer)?)?;
            let age = declared.duration_since(newest);
            let limit_signed = jiff::SignedDuration::try_from(*limit).unwrap_or(age);
            let holds = operator.holds(age.cmp(&limit_signed));
            let age = format!("{:.1} s old", age.as_secs_f64());
            told(holds, age, *operator, &seconds(*limit))
        }
    }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

fn told(holds: bool, value: String, operator: Comparison, operand: &str) -> Result<String, String> {
    if holds {
        Ok(format!("is {value}"))
    } else {
        Err(format!(
            "is {value}, expected {} {operand}",
            symbol(operator)
        ))
    }
}

fn symbol(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
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

/// As numbers where both are numbers, else as text.
fn compare(left: &str, right: &str) -> Option<Ordering> {
    if let (Ok(a), Ok(b)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return Some(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return a.partial_cmp(&b);
    }
    Some(left.cmp(right))
}

/// Reads a timestamp as the server prints it under the pinned settings: ISO,
/// UTC, with or without offset; a date is its midnight.
///
/// # Errors
/// If it is none.
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    let bad = || "is not a timestamp".to_owned();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| bad())?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| bad())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &[&str]) -> Answer {
        Answer {
            rows: values.iter().map(|v| vec![Some((*v).to_owned())]).collect(),
            ..Answer::default()
        }
    }

    fn value(operator: Comparison, operand: &str) -> Expectation {
        Expectation::Value {
            operator,
            operand: operand.to_owned(),
        }
    }

    fn holds(expect: &Expectation, values: &[&str]) -> bool {
        let declared = "2026-03-01T12:00:00Z".parse().unwrap();
        judge(expect, &answer(values), declared).is_ok()
    }

    #[test]
    fn numbers_compare_as_numbers_and_text_as_text() {
        assert!(holds(&value(Comparison::Greater, "9"), &["10"]));
        assert!(holds(&value(Comparison::Equal, "1.50"), &["1.5"]));
        assert!(!holds(
            &value(Comparison::Equal, "9007199254740993"),
            &["9007199254740992"]
        ));
        assert!(holds(&value(Comparison::Less, "b"), &["abc"]));
        assert!(!holds(&value(Comparison::Equal, "x"), &[]));
    }

    #[test]
    fn ages_are_measured_at_the_declared_instant() {
        let expect = Expectation::Age {
            operator: Comparison::LessOrEqual,
            limit: Duration::from_mins(1),
        };
        assert!(holds(&expect, &["2026-03-01 11:59:00+00"]));
        assert!(holds(&expect, &["2026-03-01 11:59:00.5"]));
        assert!(!holds(&expect, &["2026-03-01 11:58:59.999+00"]));
        assert!(!holds(&expect, &["2026-03-01"]));
        assert!(!holds(&expect, &["infinity"]));
    }

    #[test]
    fn rows_are_compared_whole() {
        let expect = Expectation::Rows(vec![vec![Some("a".into())], vec![Some("b".into())]]);
        assert!(holds(&expect, &["a", "b"]));
        assert!(!holds(&expect, &["b", "a"]));
        assert!(!holds(&expect, &["a"]));
        assert!(holds(&Expectation::NoRows, &[]));
        assert!(!holds(&Expectation::NoRows, &["a"]));
        assert!(!holds(&Expectation::SomeRows, &[]));
    }
}
