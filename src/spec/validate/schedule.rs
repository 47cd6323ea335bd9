//! When a drill runs by itself.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};

use super::Context;
use crate::{
    schedule::{Blackout, Calendar, CatchUp, Recurring, Schedule, Zone},
    spec::{hint, raw::schedule as raw, shape::shorten},
};

const FIELD: &str = "spec.schedule";

/// How late a run may start where the drill does not say.
const STARTING_DEADLINE: Duration = Duration::from_hours(1);

impl Context<'_> {
    /// `None` where an error was added.
    pub(super) fn schedule(&mut self, given: raw::Schedule) -> Option<Schedule> {
        let cron = given
            .cron
            .parse()
            .map_err(|error: crate::schedule::CronError| {
                let message = format!("`{}` {error}", shorten(&given.cron));
                self.error(&format!("{FIELD}.cron"), &message, error.expected(), "");
            });
        let zone = given
            .time_zone
            .map_or_else(|| Ok(Zone::utc()), Zone::try_from);
        let zone = zone.map_err(|error| {
            let known: Vec<_> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let near = hint::nearest(&error.0, known.iter().map(String::as_str));
            let hint = near.map_or(String::new(), |near| format!("did you mean `{near}`?"));
            let expected = "an IANA name such as Europe/Berlin, or UTC";
            self.error(
                &format!("{FIELD}.timeZone"),
                &error.to_string(),
                expected,
                &hint,
            );
        });
        let window = format!("{FIELD}.startWindow");
        let start_window = self.optional(&window, given.start_window.as_ref());
        let deadline = format!("{FIELD}.startingDeadline");
        let starting_deadline = self.optional(&deadline, given.starting_deadline.as_ref());
        let blackouts = given.blackouts.iter().enumerate();
        let blackouts: Vec<_> = blackouts
            .map(|(index, one)| self.blackout(&format!("{FIELD}.blackouts[{index}]"), one))
            .collect();
        Some(Schedule {
            calendar: Calendar {
                cron: cron.ok()?,
                zone: zone.ok()?,
            },
            start_window: start_window.unwrap_or_default(),
            starting_deadline: starting_deadline.unwrap_or(STARTING_DEADLINE),
            catch_up: match given.catch_up {
                raw::CatchUp::Skip => CatchUp::Skip,
                raw::CatchUp::Once => CatchUp::Once,
            },
            blackouts: blackouts.into_iter().collect::<Option<_>>()?,
            suspended: given.suspended,
        })
    }

    fn blackout(&mut self, field: &str, given: &raw::Blackout) -> Option<Blackout> {
        let (from, to) = (moment(&given.from), moment(&given.to));
        for (name, text, read) in [("from", &given.from, &from), ("to", &given.to, &to)] {
            if read.is_none() {
                let message = format!("`{}` is neither a time of day nor a date", shorten(text));
                let expected = "such as 08:00, 2026-12-24 or 2026-12-24T18:00";
                self.error(&format!("{field}.{name}"), &message, expected, "");
            }
        }
        match (from?, to?) {
            (Moment::OfDay(from), Moment::OfDay(to)) => Some(Blackout::Weekly(Recurring {
                days: given.days.iter().map(|day| *day as u8).collect(),
                from,
                to,
            })),
            (Moment::Of(_), Moment::Of(_)) if !given.days.is_empty() => {
                let message = "a span between two dates comes once";
                self.error(&format!("{field}.days"), message, "", "leave days out");
                None
            }
            (Moment::Of(from), Moment::Of(to)) if from < to => Some(Blackout::Once { from, to }),
            (Moment::Of(_), Moment::Of(_)) => {
                self.error(&format!("{field}.to"), "must be after `from`", "", "");
                None
            }
            _ => {
                let message = "one end is a time of day and the other one a date";
                self.error(&format!("{field}.to"), message, "two of the same kind", "");
                None
            }
        }
    }
}

/// An end of a span.
enum Moment {
    OfDay(Time),
    Of(DateTime),
}

fn moment(text: &str) -> Option<Moment> {
    let text = text.trim();
    if text.contains(':') && !text.contains('-') {
        return text.parse().ok().map(Moment::OfDay);
    }
    let date: Option<Date> = text.parse().ok().filter(|_| !text.contains(':'));
    match date {
        Some(date) => Some(Moment::Of(date.at(0, 0, 0, 0))),
        None => text.parse().ok().map(Moment::Of),
    }
}
