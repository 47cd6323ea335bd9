//! How far apart starts lie: from it follows when a drill is late.

use std::{ops::Range, time::Duration};

use jiff::civil::{Date, Time, date};

use super::{Blackout, Cron, Schedule, Trigger};

const HOUR: u32 = 60 * 60;
const DAY: u32 = 24 * HOUR;
const WEEK: u32 = 7 * DAY;

/// Whatever an expression says of days comes again in these years, leap days too. The
/// first day is a Monday.
const YEARS: Range<i16> = 2024..2032;
const FIRST_DAY: Date = date(YEARS.start, 1, 1);

/// So many days with fire times show whether any of them are in the dark.
const MOST_TRIED: usize = 40;

impl Schedule {
    /// The longest time between two starts, changes of clocks and spans that come
    /// only once aside. Backups are made every `backups`. `None` where nothing is
    /// known of it, or nothing starts by itself.
    #[must_use]
    pub fn interval(&self, drill: &str, backups: Option<Duration>) -> Option<Duration> {
        if self.suspended {
            return None;
        }
        let apart = match &self.trigger {
            Trigger::Calendar(calendar) => calendar.cron.longest_gap()?,
            // One counts once two looks have found it.
            Trigger::Backup(looks) => backups? + 2 * looks.every,
        };
        let dark = self.longest_darkness()?;
        if dark.is_zero() || !self.may_be_dark(drill, apart) {
            return Some(apart);
        }
        Some(apart + dark)
    }

    /// How long it may be dark without a break; `None` where it is always.
    fn longest_darkness(&self) -> Option<Duration> {
        let mut spans: Vec<(u32, u32)> = self.blackouts.iter().flat_map(spans).collect();
        // It goes on from one week to the next.
        let next: Vec<_> = spans.iter().map(|(a, b)| (a + WEEK, b + WEEK)).collect();
        spans.extend(next);
        spans.sort_unstable();
        let (mut longest, mut begun, mut until) = (0, 0, 0);
        for (from, to) in spans {
            if from > until {
                begun = from;
            }
            until = until.max(to);
            longest = longest.max(until - begun);
        }
        (longest < WEEK).then(|| seconds(longest))
    }

    /// Whether starts that lie so far apart may fall into the dark. Where they lie
    /// close, some do for certain.
    fn may_be_dark(&self, drill: &str, apart: Duration) -> bool {
        let close = apart < seconds(DAY);
        let Ok(first) = FIRST_DAY.to_zoned(self.trigger.zone().rules().clone()) else {
            return true;
        };
        if close || self.trigger.looks().is_some() {
            return true;
        }
        // Several of a day tell what one of them does.
        let (mut days, mut last) = (0, None);
        for one in self.upcoming(drill, first.timestamp()) {
            let day = one.scheduled_for.as_second() / i64::from(DAY);
            days += usize::from(last.replace(day) != Some(day));
            if one.skipped.is_some() || days > MOST_TRIED {
                return one.skipped.is_some();
            }
        }
        false
    }
}

/// The spans of a week that it covers, in seconds.
fn spans(blackout: &Blackout) -> Vec<(u32, u32)> {
    let Blackout::Weekly(span) = blackout else {
        return Vec::new();
    };
    let (from, to) = (second_of_day(span.from), second_of_day(span.to));
    let to = if from < to { to } else { to + DAY };
    let days = (0..7).filter(|day| span.days.is_empty() || span.days.contains(day));
    days.map(|day| u32::from(day) * DAY)
        .map(|day| (day + from, day + to))
        .collect()
}

fn second_of_day(time: Time) -> u32 {
    let midnight = Time::midnight();
    let seconds = time.duration_since(midnight).as_secs();
    u32::try_from(seconds).unwrap_or_default()
}

impl Cron {
    /// The longest time between two readings that fit; `None` if there is one
    /// alone.
    pub(super) fn longest_gap(&self) -> Option<Duration> {
        let units = [1, 60, HOUR];
        let of_day = self.times().into_iter().zip(units);
        let of_day = of_day.fold(Within::default(), |inner, (values, unit)| {
            inner.repeated(&values, unit)
        });
        let all = of_day.repeated(&self.days_that_fit(), DAY);
        (all.longest > 0).then(|| seconds(all.longest))
    }

    /// By their numbers from the first day on. A service reads thousands of drills, so
    /// days are told by bits.
    fn days_that_fit(&self) -> Vec<u32> {
        let fitting = self.days();
        let months = YEARS.flat_map(|year| (1..=12).map(move |month| date(year, month, 1)));
        let days = months.flat_map(|first| {
            let month = first.month();
            (1..=first.days_in_month()).map(move |day| (month, day))
        });
        let fits = |(number, (month, day)): &(u32, (i8, i8))| {
            // From 1 for Sunday.
            let of_week = (number + 1) % 7 + 1;
            fitting.iter().any(|[months, days, days_of_week]| {
                months >> month & days >> day & days_of_week >> of_week & 1 == 1
            })
        };
        (0..)
            .zip(days)
            .filter(fits)
            .map(|(number, _)| number)
            .collect()
    }
}

/// Instants within a minute, an hour or a day.
#[derive(Default)]
struct Within {
    /// The longest time between two that follow each other.
    longest: u32,
    /// From the first one to the last one.
    all: u32,
}

impl Within {
    /// The same in each unit of these numbers, which ascend.
    fn repeated(&self, numbers: &[u32], unit: u32) -> Self {
        let steps = numbers.windows(2).map(|two| (two[1] - two[0]) * unit);
        let between = steps.map(|step| step - self.all).max();
        let ends = numbers.last().zip(numbers.first());
        let whole = ends.map_or(0, |(last, first)| (last - first) * unit);
        Self {
            longest: self.longest.max(between.unwrap_or(0)),
            all: self.all + whole,
        }
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::time};

    use super::*;
    use crate::schedule::{Calendar, CatchUp, Looks, Overlap, Recurring, Zone};

    fn schedule(trigger: Trigger) -> Schedule {
        Schedule {
            trigger,
            start_window: Duration::ZERO,
            starting_deadline: Duration::from_mins(10),
            catch_up: CatchUp::Skip,
            overlap: Overlap::Skip,
            blackouts: Vec::new(),
            suspended: false,
        }
    }

    fn at_times(cron: &str) -> Schedule {
        schedule(Trigger::Calendar(Calendar {
            cron: cron.parse().unwrap(),
            zone: Zone::utc(),
        }))
    }

    fn dark(days: &[u8], [from, to]: [i8; 2]) -> Blackout {
        Blackout::Weekly(Recurring {
            days: days.to_vec(),
            from: time(from, 0, 0, 0),
            to: time(to, 0, 0, 0),
        })
    }

    fn hours(schedule: &Schedule) -> Option<u64> {
        let interval = schedule.interval("shop", None);
        interval.map(|interval| interval.as_secs() / 3_600)
    }

    /// What is reckoned is what is found one after the other.
    #[test]
    fn the_longest_gap_is_between_two_fire_times() {
        let begin: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        for (cron, tried, expected) in [
            ("* * * * * *", 100, 1),
            ("*/7 * * * *", 1_000, 420),
            ("10,50 2-4 * * *", 100, 21 * 3_600 + 20 * 60),
            (
                "5,20 0/10 9-17 * * mon-fri",
                3_000,
                63 * 3_600 + 9 * 60 + 45,
            ),
            ("0 * * * *", 1_000, 3_600),
            ("30 3 * * *", 400, 86_400),
            ("30 3 * * sun", 100, 7 * 86_400),
            ("0 3 1 * *", 100, 31 * 86_400),
            ("0 3 1-7 * wed", 400, 7 * 86_400),
            ("0 3 1 jan-jun *", 100, 214 * 86_400),
            ("0 3 1 1 *", 9, 366 * 86_400),
            ("0 3 29 2 *", 3, 1_461 * 86_400),
        ] {
            let schedule = at_times(cron);
            let all: Vec<_> = schedule.upcoming("shop", begin).take(tried).collect();
            let gaps = all.windows(2).map(|two| {
                let gap = two[1].starts_at.duration_since(two[0].starts_at);
                gap.unsigned_abs().as_secs()
            });
            assert_eq!(gaps.max(), Some(expected), "{cron}");
            let interval = schedule.interval("shop", None).map(|it| it.as_secs());
            assert_eq!(interval, Some(expected), "{cron}");
        }
    }

    #[test]
    fn the_dark_is_added_where_starts_fall_into_it() {
        let mut hourly = at_times("0 * * * *");
        for (blackouts, expected) in [
            (vec![], Some(1)),
            (vec![dark(&[], [8, 18])], Some(11)),
            (vec![dark(&[], [22, 6]), dark(&[5], [6, 22])], Some(33)),
            // From Saturday to Monday, over the end of the week.
            (vec![dark(&[5, 6], [0, 0])], Some(49)),
            (vec![dark(&[6], [0, 0]), dark(&[0], [0, 6])], Some(31)),
            (vec![dark(&[], [0, 0])], None),
        ] {
            hourly.blackouts = blackouts;
            assert_eq!(hours(&hourly), expected, "{:?}", hourly.blackouts);
        }
        let mut nightly = at_times("0 3 * * *");
        nightly.blackouts = vec![dark(&[], [8, 18])];
        assert_eq!(hours(&nightly), Some(24), "it is never in the dark");
        nightly.blackouts = vec![dark(&[5, 6], [0, 0])];
        assert_eq!(hours(&nightly), Some(72));
        // The first of a month is a Saturday sooner or later, however often it starts.
        let mut monthly = at_times("* 3 1 * *");
        assert_eq!(hours(&monthly), Some(31 * 24 - 1));
        monthly.blackouts = vec![dark(&[5], [0, 0])];
        assert_eq!(hours(&monthly), Some(32 * 24 - 1));
    }

    #[test]
    fn what_does_not_start_by_itself_has_no_interval() {
        let mut suspended = at_times("@daily");
        suspended.suspended = true;
        assert_eq!(hours(&suspended), None);
        let follows = schedule(Trigger::Backup(Looks {
            every: Duration::from_mins(5),
            zone: Zone::utc(),
        }));
        assert_eq!(
            follows.interval("shop", None),
            None,
            "nobody says how often"
        );
        let nightly = Some(Duration::from_hours(24));
        let expected = Duration::from_mins(24 * 60 + 10);
        assert_eq!(follows.interval("shop", nightly), Some(expected));
    }
}
