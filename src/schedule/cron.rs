//! Cron expressions as users of crontab and of Kubernetes' cron jobs write them,
//! read by the `cron` crate.
//!
//! That crate has words of its own: it wants seconds, counts days of the week
//! from 1 for Sunday, and lets a run need both the day of the month and the
//! day of the week. So an expression is put into its words first, and where
//! both kinds of days are given, two of its schedules are merged. It never sees
//! a time zone: what it is asked and what it answers are readings of a clock on
//! a wall.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use chrono::{DateTime as ChronoTime, NaiveDate, Utc};
use cron::{Schedule, TimeUnitSpec};
use jiff::civil::{DateTime, datetime};
use serde::{Deserialize, Serialize};

/// Days of the week in crontab's order, where 0 and 7 are Sunday.
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What the fields are called, seconds first.
const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

const DAY_OF_MONTH: usize = 3;
const DAY_OF_WEEK: usize = 5;

/// A valid expression.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron(Arc<Parsed>);

/// What is the same wherever the same is written: the crate keeps more than a
/// kilobyte, and a service has many drills.
struct Parsed {
    text: String,
    /// A reading fits if it fits one of them.
    any: Vec<Schedule>,
}

/// The expressions that are in use.
static USED: LazyLock<Mutex<HashMap<String, Weak<Parsed>>>> = LazyLock::new(Mutex::default);

/// Why a text is no expression that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("has {0} fields")]
    Fields(usize),
    #[error("has `{text}` as {field}")]
    Field { field: &'static str, text: String },
    #[error("`{0}` is not a shorthand")]
    Shorthand(String),
    #[error("never comes")]
    Never,
}

impl CronError {
    /// What would have been right.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        match self {
            Self::Fields(_) => {
                "five fields, minute to day of the week, or six with seconds before them"
            }
            Self::Field { field, .. } => match *field {
                "second" | "minute" => "0 to 59, with *, lists, ranges and steps",
                "hour" => "0 to 23, with *, lists, ranges and steps",
                "day of the month" => "1 to 31, with *, lists, ranges and steps",
                "month" => "1 to 12 or jan to dec, with *, lists, ranges and steps",
                _ => "0 to 7 or sun to sat, with *, lists, ranges and steps",
            },
            Self::Shorthand(_) => {
                "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
            }
            Self::Never => "a day that exists",
        }
    }
}

impl Cron {
    /// The readings of a clock that fit, after a given one, in order.
    pub fn after(&self, reading: DateTime) -> impl Iterator<Item = DateTime> {
        let from = to_chrono(reading);
        let mut heads: Vec<_> = self
            .0
            .any
            .iter()
            .map(|schedule| from.map(|from| schedule.after_owned(from)))
            .filter_map(|readings| readings.map(Iterator::peekable))
            .collect();
        std::iter::from_fn(move || {
            let next = heads.iter_mut().filter_map(|head| head.peek().copied());
            let next = next.min()?;
            for head in &mut heads {
                head.next_if_eq(&next);
            }
            Some(from_chrono(next))
        })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The months, days of the month and days of the week that fit together, each as
    /// bits by their numbers; the days of the week from 1 for Sunday.
    pub(super) fn days(&self) -> Vec<[u32; 3]> {
        let of = |schedule: &Schedule| {
            [
                bits(schedule.months()),
                bits(schedule.days_of_month()),
                bits(schedule.days_of_week()),
            ]
        };
        self.0.any.iter().map(of).collect()
    }

    /// The seconds, minutes and hours that fit, which are the same on all days.
    pub(super) fn times(&self) -> [Vec<u32>; 3] {
        let of = |schedule: &Schedule| {
            [
                schedule.seconds().iter().collect(),
                schedule.minutes().iter().collect(),
                schedule.hours().iter().collect(),
            ]
        };
        self.0.any.first().map(of).unwrap_or_default()
    }

    /// Whether it fits in every hour of a day that it fits on.
    #[must_use]
    pub fn is_every_hour(&self) -> bool {
        self.0.any.iter().all(|schedule| schedule.hours().is_all())
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = used.get(text).and_then(Weak::upgrade) {
            return Ok(Self(parsed));
        }
        let cron = Self::parse(text)?;
        // Before it grows, it loses what nobody uses any more.
        if used.len() == used.capacity() {
            used.retain(|_, parsed| parsed.strong_count() > 0);
        }
        used.insert(text.to_owned(), Arc::downgrade(&cron.0));
        Ok(cron)
    }
}

impl Cron {
    fn parse(text: &str) -> Result<Self, CronError> {
        let spread = shorthand(text)?;
        let mut fields: Vec<&str> = spread.split_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            other => return Err(CronError::Fields(other)),
        }
        let mut words = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            words.push(word(index, field).ok_or_else(|| CronError::Field {
                field: FIELDS[index],
                text: (*field).to_owned(),
            })?);
        }
        // As CronJob has it: a star with a step limits, one without does not.
        let both = words[DAY_OF_MONTH] != "*" && words[DAY_OF_WEEK] != "*";
        let mut any = Vec::new();
        for unlimited in if both {
            &[DAY_OF_MONTH, DAY_OF_WEEK][..]
        } else {
            &[6]
        } {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Some(word) = words.get_mut(*unlimited) {
                *word = "*";
            }
            any.extend(Schedule::from_str(&words.join(" ")).ok());
        }
        let text = text.to_owned();
        let cron = Self(Arc::new(Parsed { text, any }));
        // Every day of the calendar comes within eight years.
        let soon = cron.after(datetime(2096, 1, 1, 0, 0, 0, 0)).next();
        match soon.or_else(|| cron.after(datetime(2024, 1, 1, 0, 0, 0, 0)).next()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never),
        }
    }
}

/// Spreads a shorthand into fields.
fn shorthand(text: &str) -> Result<&str, CronError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    Ok(match text.to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => return Err(CronError::Shorthand(text.to_owned())),
    })
}

/// A field in the crate's words; `None` if it is none.
fn word(index: usize, field: &str) -> Option<String> {
    // `?` is what some write for "any".
    if field == "*" || field == "?" {
        return Some("*".to_owned());
    }
    if field.contains('?') {
        return None;
    }
    let word = match index {
        DAY_OF_WEEK => days_of_week(field)?,
        _ => field.to_owned(),
    };
    let mut alone = ["*"; 6];
    alone[index] = &word;
    Schedule::from_str(&alone.join(" ")).ok()?;
    Some(word)
}

/// Days of the week as a list of names.
fn days_of_week(field: &str) -> Option<String> {
    let mut chosen = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|&step| step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (day(first)?, day(last)?),
            // With a step it goes on to the end of the week.
            None if part.contains('/') => (day(range)?, 6),
            None => (day(range)?, day(range)?),
        };
        // `fri-sun`, where Sunday ends the week.
        let last = if last < first && last == 0 { 7 } else { last };
        if first > last {
            return None;
        }
        for day in (first..=last).step_by(step) {
            chosen[day % 7] = true;
        }
    }
    let names = DAYS.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    Some(names.map(|(name, _)| *name).collect::<Vec<_>>().join(","))
}

fn day(text: &str) -> Option<usize> {
    match text.parse() {
        Ok(number) => (number <= 7_usize).then_some(number),
        Err(_) => DAYS.iter().position(|name| name.eq_ignore_ascii_case(text)),
    }
}

fn bits(numbers: &impl TimeUnitSpec) -> u32 {
    numbers.iter().map(|number| 1 << number).sum()
}

fn to_chrono(reading: DateTime) -> Option<ChronoTime<Utc>> {
    let number = |part: i8| u32::try_from(part).ok();
    let date = NaiveDate::from_ymd_opt(
        reading.year().into(),
        number(reading.month())?,
        number(reading.day())?,
    )?;
    let time = date.and_hms_opt(
        number(reading.hour())?,
        number(reading.minute())?,
        number(reading.second())?,
    )?;
    Some(time.and_utc())
}

fn from_chrono(reading: ChronoTime<Utc>) -> DateTime {
    let epoch = datetime(1970, 1, 1, 0, 0, 0, 0);
    epoch.saturating_add(jiff::SignedDuration::from_secs(reading.timestamp()))
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.0.text)
    }
}

impl TryFrom<String> for Cron {
    type Error = CronError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.0.text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, after: DateTime) -> Option<String> {
        let cron: Cron = text.parse().unwrap();
        cron.after(after).next().map(|reading| reading.to_string())
    }

    #[test]
    fn reads_crontab_as_its_users_do() {
        // 1 May 2026 is a Friday.
        let friday = datetime(2026, 5, 1, 12, 0, 0, 0);
        for (text, expected) in [
            ("0 3 * * *", "2026-05-02T03:00:00"),
            ("*/20 * * * *", "2026-05-01T12:20:00"),
            ("30 5 10 * * *", "2026-05-02T10:05:30"),
            ("@hourly", "2026-05-01T13:00:00"),
            ("@Weekly", "2026-05-03T00:00:00"),
            // Sunday by all its names, and Monday.
            ("0 0 * * 0", "2026-05-03T00:00:00"),
            ("0 0 * * 7", "2026-05-03T00:00:00"),
            ("0 0 * * sun", "2026-05-03T00:00:00"),
            ("0 0 * * 1", "2026-05-04T00:00:00"),
            ("0 0 * * 6-7", "2026-05-02T00:00:00"),
            ("0 0 * * fri-sun", "2026-05-02T00:00:00"),
            ("0 0 * * 1-5/2", "2026-05-04T00:00:00"),
            ("0 0 * * 2/2", "2026-05-02T00:00:00"),
            ("0 0 ? jun-aug ?", "2026-06-01T00:00:00"),
            // Either kind of day is enough.
            ("0 0 13 * 1", "2026-05-04T00:00:00"),
            ("0 0 2 * 1", "2026-05-02T00:00:00"),
            ("0 0 29 2 *", "2028-02-29T00:00:00"),
            ("10-59/15 12 * * *", "2026-05-01T12:10:00"),
        ] {
            assert_eq!(first(text, friday).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let field = |field, text: &str| CronError::Field {
            field,
            text: text.to_owned(),
        };
        for (text, error) in [
            ("", CronError::Fields(0)),
            ("* * * *", CronError::Fields(4)),
            ("* * * * * * 2026", CronError::Fields(7)),
            ("60 * * * *", field("minute", "60")),
            ("0 24 * * *", field("hour", "24")),
            ("0 0 0 * *", field("day of the month", "0")),
            ("0 0 * 13 *", field("month", "13")),
            ("0 0 * * 8", field("day of the week", "8")),
            ("0 0 * * 5-2", field("day of the week", "5-2")),
            ("0 0 * * mon#1", field("day of the week", "mon#1")),
            ("0 0 L * *", field("day of the month", "L")),
            ("0 x * * *", field("hour", "x")),
            ("@reboot", CronError::Shorthand("@reboot".to_owned())),
            ("@every 5m", CronError::Shorthand("@every 5m".to_owned())),
            ("0 0 30 2 *", CronError::Never),
        ] {
            assert_eq!(text.parse::<Cron>().unwrap_err(), error, "{text}");
        }
    }
}
