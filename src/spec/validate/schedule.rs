//! When a drill runs by itself.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};

use super::Context;
use crate::{
    schedule::{
        Blackout, Calendar, CatchUp, Cron, CronError, Looks, Overlap, Recurring, Schedule, Trigger,
        Zone,
    },
    spec::{
        drill::{Pick, RecoveryPointSource},
        hint,
        raw::schedule as raw,
        shape::shorten,
    },
};

const FIELD: &str = "spec.schedule";

/// How late a run may start where the drill does not say.
const STARTING_DEADLINE: Duration = Duration::from_hours(1);

/// Time between two looks for new backups where the drill does not say.
const LOOK_EVERY: Duration = Duration::from_mins(1);
const SHORTEST_LOOKS: Duration = Duration::from_secs(1);

impl Context<'_> {
    /// `None` where an error was added.
    pub(super) fn schedule(&mut self, given: raw::Schedule) -> Option<Schedule> {
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
        let trigger = self.trigger(given.cron.as_deref(), given.after_each_backup, zone.ok());
        if matches!(trigger, Some(Trigger::Backup(_))) {
            let window = given.start_window.is_some().then_some("startWindow");
            let once = matches!(given.catch_up, raw::CatchUp::Once).then_some("catchUp");
            for name in window.into_iter().chain(once) {
                let message = "belongs to `cron`";
                self.error(&format!("{FIELD}.{name}"), message, "", "leave it out");
            }
        }
        let overlap = self.overlap(given.overlap, trigger.as_ref());
        let window = format!("{FIELD}.startWindow");
        let start_window = self.optional(&window, given.start_window.as_ref());
        let deadline = format!("{FIELD}.startingDeadline");
        let starting_deadline = self.optional(&deadline, given.starting_deadline.as_ref());
        let blackouts = given.blackouts.iter().enumerate();
        let blackouts: Vec<_> = blackouts
            .map(|(index, one)| self.blackout(&format!("{FIELD}.blackouts[{index}]"), one))
            .collect();
        Some(Schedule {
            trigger: trigger?,
            start_window: start_window.unwrap_or_default(),
            starting_deadline: starting_deadline.unwrap_or(STARTING_DEADLINE),
            catch_up: match given.catch_up {
                raw::CatchUp::Skip => CatchUp::Skip,
                raw::CatchUp::Once => CatchUp::Once,
            },
            overlap,
            blackouts: blackouts.into_iter().collect::<Option<_>>()?,
            suspended: given.suspended,
        })
    }

    fn trigger(
        &mut self,
        cron: Option<&str>,
        backups: Option<raw::AfterEachBackup>,
        zone: Option<Zone>,
    ) -> Option<Trigger> {
        match (cron, backups) {
            (Some(cron), None) => {
                let cron = self.cron(cron)?;
                Some(Trigger::Calendar(Calendar { cron, zone: zone? }))
            }
            (None, Some(given)) => {
                let field = format!("{FIELD}.afterEachBackup.lookEvery");
                let every = self.optional(&field, given.look_every.as_ref());
                let every = every.unwrap_or(LOOK_EVERY);
                if every < SHORTEST_LOOKS {
                    self.error(&field, "is too short", "at least 1s", "");
                }
                Some(Trigger::Backup(Looks { every, zone: zone? }))
            }
            (cron, _) => {
                let message = match cron {
                    Some(_) => "says twice when to run",
                    None => "does not say when to run",
                };
                let expected = "either `cron` or `afterEachBackup`";
                self.error(FIELD, message, expected, "");
                None
            }
        }
    }

    /// A new backup waits for the run before: passing it by would leave it
    /// undrilled, and ending the run the one before.
    fn overlap(&mut self, given: Option<raw::Overlap>, trigger: Option<&Trigger>) -> Overlap {
        let waits = matches!(trigger, Some(Trigger::Backup(_)));
        match given {
            Some(raw::Overlap::Skip | raw::Overlap::Replace) if waits => {
                let message =
                    "belongs to `cron`: a new backup waits until the run before has ended";
                let hint = "leave it out, or say `wait`";
                self.error(&format!("{FIELD}.overlap"), message, "", hint);
                Overlap::Wait
            }
            Some(raw::Overlap::Skip) => Overlap::Skip,
            Some(raw::Overlap::Wait) => Overlap::Wait,
            Some(raw::Overlap::Replace) => Overlap::Replace,
            None if waits => Overlap::Wait,
            None => Overlap::default(),
        }
    }

    fn cron(&mut self, text: &str) -> Option<Cron> {
        let read = text.parse();
        let read = read.map_err(|error: CronError| {
            let message = format!("`{}` {error}", shorten(text));
            self.error(&format!("{FIELD}.cron"), &message, error.expected(), "");
        });
        read.ok()
    }

    /// Whether there is something that others make, where it is waited for.
    pub(super) fn has_backups(&mut self, schedule: &Schedule, from: &RecoveryPointSource) {
        if schedule.trigger.looks().is_none() {
            return;
        }
        let field = format!("{FIELD}.afterEachBackup");
        match from {
            RecoveryPointSource::Existing(_) => {}
            RecoveryPointSource::ExistingSnapshot(snapshot) => {
                let one = snapshot.name.is_some() || snapshot.content.is_some();
                if one || snapshot.pick != Pick::Latest {
                    let message = "needs snapshots of which the newest is drilled";
                    let hint = "choose them by `labels`, with `pick: latest`";
                    self.error(&field, message, "", hint);
                }
            }
            RecoveryPointSource::Fresh(_) | RecoveryPointSource::Snapshot(_) => {
                let message = "waits for backups that others make, and each run makes its own";
                let hint = "use `cron`, or `recoveryPoint.existing`";
                self.error(&field, message, "", hint);
            }
        }
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
