//! The small language of expectations: `age < 24h`, `>= 1000`, `some rows`.

use super::{
    drill::{Comparison, Expectation},
    duration,
};

/// What may stand in `expect`.
pub(super) const EXPECTED: &str =
    "a comparison such as `>= 1000` or `= paid`, `age < 24h`, `some rows` or `no rows`";

/// Reads an expectation that is written as one line.
pub(super) fn parse(text: &str) -> Result<Expectation, String> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "some rows" => return Ok(Expectation::SomeRows),
        "no rows" => return Ok(Expectation::NoRows),
        _ => {}
    }
    match text.strip_prefix("age") {
        Some(rest) if !rest.starts_with(char::is_alphanumeric) => age(rest.trim()),
        _ => value(text),
    }
}

/// Reads a comparison with a value.
pub(super) fn value(text: &str) -> Result<Expectation, String> {
    let (operator, operand) =
        comparison(text).ok_or_else(|| format!("`{text}` is not an expectation"))?;
    match operand {
        "" => Err(format!("`{text}` compares with nothing")),
        operand => Ok(Expectation::Value {
            operator,
            operand: operand.to_owned(),
        }),
    }
}

fn age(text: &str) -> Result<Expectation, String> {
    let (operator, limit) =
        comparison(text).ok_or_else(|| "`age` needs a comparison".to_owned())?;
    if matches!(operator, Comparison::Equal | Comparison::NotEqual) {
        return Err("an age is never exactly a duration".to_owned());
    }
    let limit = duration::parse(limit).ok_or_else(|| format!("`{limit}` is not a duration"))?;
    Ok(Expectation::Age { operator, limit })
}

fn comparison(text: &str) -> Option<(Comparison, &str)> {
    // Longer signs first: `<` is the beginning of `<=`.
    [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("!=", Comparison::NotEqual),
        ("<>", Comparison::NotEqual),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("=", Comparison::Equal),
    ]
    .into_iter()
    .find_map(|(sign, operator)| Some((operator, text.trim().strip_prefix(sign)?.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_form() {
        assert_eq!(parse("some rows"), Ok(Expectation::SomeRows));
        assert_eq!(parse("no rows"), Ok(Expectation::NoRows));
        assert_eq!(
            parse("age < 24h"),
            Ok(Expectation::Age {
                operator: Comparison::Less,
                limit: std::time::Duration::from_hours(24),
            })
        );
        assert_eq!(
            parse(">=1000"),
            Ok(Expectation::Value {
                operator: Comparison::GreaterOrEqual,
                operand: "1000".to_owned(),
            })
        );
        for wrong in ["", "1000", "age", "age = 1h", "age < soon", ">="] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
