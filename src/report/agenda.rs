//! What will run when.

use comfy_table::Cell;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    format,
    text::{Look, clean, plain_table, toned, trimmed},
    words::Tone,
};
use crate::{
    domain::ids::{DrillName, RunId},
    schedule::{Reason, Schedule, Zone},
};

/// A fire time of a drill that lies ahead.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Line {
    pub drill: String,
    pub time_zone: Zone,
    pub scheduled_for: Timestamp,
    pub starts_at: Timestamp,
    /// The clocks are changed over the time that is written.
    pub moved: bool,
    /// Why it will not start.
    pub skipped: Option<Reason>,
}

impl Line {
    /// The next `most` fire times of all drills, each with the instant after which it
    /// starts, by their starts.
    #[must_use]
    pub fn ahead<'a>(
        drills: impl Iterator<Item = (&'a DrillName, Option<&'a Schedule>, Timestamp)>,
        most: usize,
    ) -> Vec<Self> {
        let of = |(name, schedule, from): (&'a DrillName, Option<&'a Schedule>, Timestamp)| {
            let timed =
                schedule.and_then(|schedule| Some((schedule, schedule.trigger.calendar()?)));
            timed.into_iter().flat_map(move |(schedule, calendar)| {
                let upcoming = schedule.starting(name.as_str(), from).take(most);
                upcoming.map(move |one| Self {
                    drill: name.to_string(),
                    time_zone: calendar.zone.clone(),
                    scheduled_for: one.scheduled_for,
                    starts_at: one.starts_at,
                    moved: calendar.is_moved(one.scheduled_for),
                    skipped: one.skipped,
                })
            })
        };
        let mut lines: Vec<_> = drills.flat_map(of).collect();
        lines.sort_by(|a, b| (a.starts_at, &a.drill).cmp(&(b.starts_at, &b.drill)));
        lines.truncate(most);
        lines
    }
}

/// The table of `lifeboat schedule`, in the given order.
#[must_use]
pub fn table(lines: &[Line], look: Look) -> String {
    let mut table = plain_table(look);
    table.set_header(["SCHEDULED FOR", "STARTS", "DRILL", "NOTE"]);
    table.add_rows(lines.iter().map(|line| {
        let note = match (line.skipped, line.moved) {
            (Some(Reason::Blackout), _) => "does not start: blackout",
            (Some(_), _) => "does not start: suspended",
            (None, true) => "moved: the clocks are changed",
            (None, false) => "",
        };
        [
            Cell::new(local(line.scheduled_for, &line.time_zone)),
            Cell::new(local(line.starts_at, &line.time_zone)),
            Cell::new(clean(&line.drill)),
            toned(
                note,
                if line.skipped.is_some() {
                    Tone::Unknown
                } else {
                    Tone::Neutral
                },
            ),
        ]
    }));
    trimmed(&table) + "\n"
}

/// A time at which a drill was due.
pub struct Past<'a> {
    pub drill: &'a str,
    pub scheduled_for: Timestamp,
    /// Why it passed without a run.
    pub passed: Option<Reason>,
    /// The run that was started, where it is still known.
    pub run: Option<RunId>,
    /// So many before it passed for the same reason, and are not told.
    pub older: u64,
}

/// The table of `lifeboat fires`, in the given order.
#[must_use]
pub fn past(fires: &[Past<'_>], look: Look) -> String {
    let mut table = plain_table(look);
    table.set_header(["SCHEDULED FOR", "DRILL", "CAME OF IT", "RUN"]);
    table.add_rows(fires.iter().map(|fire| {
        let came = fire.passed.map_or("started", Reason::name);
        let more = match fire.older {
            0 => String::new(),
            older => format!(", and {older} before it"),
        };
        let tone = match fire.passed {
            Some(_) => Tone::Unknown,
            None => Tone::Neutral,
        };
        [
            Cell::new(format::timestamp(fire.scheduled_for)),
            Cell::new(clean(fire.drill)),
            toned(&format!("{came}{more}"), tone),
            Cell::new(fire.run.map(|run| run.to_string()).unwrap_or_default()),
        ]
    }));
    trimmed(&table) + "\n"
}

/// As the clocks of a zone read.
fn local(at: Timestamp, zone: &Zone) -> String {
    let zoned = at.to_zoned(zone.rules().clone());
    zoned.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
}
