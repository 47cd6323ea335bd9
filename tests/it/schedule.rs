//! Fire times against an oracle that walks through the minutes one by one and
//! knows of a zone only its offset at an instant.

use std::{collections::BTreeSet, time::Duration};

use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, date},
    tz::TimeZone,
};
use lifeboat::schedule::{Calendar, Cron, Zone};
use proptest::prelude::*;

/// A zone and an instant shortly before its clocks are changed, where they are.
const CHANGES: [(&str, &str); 12] = [
    ("America/New_York", "2026-03-07T20:00:00Z"),
    ("America/New_York", "2026-10-31T20:00:00Z"),
    ("Europe/Berlin", "2026-03-28T14:00:00Z"),
    ("Europe/Berlin", "2026-10-24T14:00:00Z"),
    // By half an hour.
    ("Australia/Lord_Howe", "2026-04-04T02:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T02:00:00Z"),
    // A whole day was left out.
    ("Pacific/Apia", "2011-12-29T20:00:00Z"),
    ("Pacific/Apia", "2011-04-02T00:00:00Z"),
    // At midnight.
    ("America/Asuncion", "2023-09-30T20:00:00Z"),
    ("Asia/Kolkata", "2026-03-28T14:00:00Z"),
    ("Asia/Kathmandu", "2026-10-24T14:00:00Z"),
    ("UTC", "2026-12-31T12:00:00Z"),
];

/// How long the oracle looks ahead, in minutes.
const AHEAD: i64 = 3 * 24 * 60;

/// The values of a field that fit; none for a star.
type Field = Option<BTreeSet<i8>>;

/// Minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone)]
struct Fields([Field; 5]);

impl Fields {
    fn text(&self) -> String {
        let words = self.0.iter().map(|field| match field {
            None => "*".to_owned(),
            Some(values) => {
                let values: Vec<_> = values.iter().map(i8::to_string).collect();
                values.join(",")
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn fits(&self, reading: DateTime) -> bool {
        let fits = |index: usize, value: i8| {
            let field = self.0[index].as_ref();
            field.is_none_or(|values| values.contains(&value))
        };
        let day = fits(2, reading.day());
        let weekday = fits(4, reading.weekday().to_sunday_zero_offset());
        let days = match (&self.0[2], &self.0[4]) {
            (Some(_), Some(_)) => day || weekday,
            _ => day && weekday,
        };
        days && fits(0, reading.minute()) && fits(1, reading.hour()) && fits(3, reading.month())
    }
}

fn reading(zone: &TimeZone, at: Timestamp) -> DateTime {
    zone.to_offset(at).to_datetime(at)
}

/// All fire times in the days after `from`, as the module's words have them.
fn oracle(fields: &Fields, zone: &TimeZone, from: Timestamp) -> BTreeSet<Timestamp> {
    let minute = SignedDuration::from_mins(1);
    let begin = Timestamp::from_second(from.as_second() / 60 * 60 - 26 * 3600).unwrap();
    let mut seen = BTreeSet::new();
    let mut fires = BTreeSet::new();
    let mut last = reading(zone, begin);
    for step in 1..AHEAD + 26 * 60 {
        let at = begin + SignedDuration::from_mins(step);
        let now = reading(zone, at);
        if fields.0[1].is_none() {
            if fields.fits(now) {
                fires.insert(at);
            }
            continue;
        }
        // What was jumped over.
        let (mut skipped, mut behind) = (last + minute, at);
        while skipped < now {
            if fields.fits(skipped) {
                fires.insert(behind);
            }
            (skipped, behind) = (skipped + minute, behind + minute);
        }
        if seen.insert(now) && fields.fits(now) {
            fires.insert(at);
        }
        last = now;
    }
    let end = from + SignedDuration::from_mins(AHEAD - 26 * 60);
    fires.retain(|&at| at > from && at <= end);
    fires
}

fn field(low: i8, high: i8, most: usize) -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(None),
        prop::collection::btree_set(low..=high, 1..=most).prop_map(Some)
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    let parts = (
        field(0, 59, 4),
        // Mostly those around which clocks are changed.
        prop_oneof![
            Just(None),
            prop::collection::btree_set(0_i8..5, 1..4).prop_map(Some),
            field(0, 23, 24)
        ],
        field(1, 31, 20),
        field(1, 12, 11),
        field(0, 6, 5),
    );
    parts
        .prop_map(|(minute, hour, day, month, weekday)| Fields([minute, hour, day, month, weekday]))
}

fn calendar(text: &str, zone: &str) -> Calendar {
    Calendar {
        cron: text
            .parse()
            .unwrap_or_else(|error| panic!("{text} {error}")),
        zone: Zone::try_from(zone.to_owned()).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn fire_times_are_those_of_the_oracle(
        fields in fields(),
        (zone, near) in prop::sample::select(CHANGES.to_vec()),
        shift in 0_i64..20 * 60,
    ) {
        // A date that never comes is refused.
        prop_assume!(fields.text().parse::<Cron>().is_ok());
        let calendar = calendar(&fields.text(), zone);
        let from = near.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(shift);
        let wanted = oracle(&fields, calendar.zone.rules(), from);
        let end = from + SignedDuration::from_mins(AHEAD - 26 * 60);
        let fires: Vec<_> = calendar.fires(from).take_while(|&at| at <= end).collect();
        prop_assert!(fires.is_sorted_by(|a, b| a < b), "{} {zone} {fires:?}", fields.text());
        let fires: BTreeSet<_> = fires.into_iter().collect();
        let lost: Vec<_> = wanted.difference(&fires).collect();
        let more: Vec<_> = fires.difference(&wanted).collect();
        prop_assert!(
            lost.is_empty() && more.is_empty(),
            "{} {zone} after {from}: lost {lost:?}, more {more:?}", fields.text()
        );
    }

    #[test]
    fn asked_from_anywhere_the_next_fire_time_is_the_same(
        fields in fields(),
        (zone, near) in prop::sample::select(CHANGES.to_vec()),
        shift in 0_i64..30 * 3600,
    ) {
        prop_assume!(fields.text().parse::<Cron>().is_ok());
        let calendar = calendar(&fields.text(), zone);
        let from = near.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(shift);
        let Some(next) = calendar.next(from) else { return Ok(()); };
        prop_assert!(next > from);
        let between = from + SignedDuration::from_secs((next.as_second() - from.as_second()) / 2);
        prop_assert_eq!(calendar.next(between), Some(next));
        prop_assert_eq!(calendar.next(next - SignedDuration::from_secs(1)), Some(next));
    }
}

#[test]
fn a_daily_drill_runs_once_on_every_day_of_the_year() {
    for (zone, text) in [
        ("America/New_York", "30 2 * * *"),
        ("America/New_York", "30 1 * * *"),
        ("Europe/Berlin", "15 2 * * *"),
        ("Australia/Lord_Howe", "45 1 * * *"),
    ] {
        let calendar = calendar(text, zone);
        let begin = date(2026, 1, 1).at(0, 0, 0, 0);
        let begin = begin.to_zoned(calendar.zone.rules().clone()).unwrap();
        let days = calendar.fires(begin.timestamp()).take(365);
        for (index, fire) in days.enumerate() {
            let day = fire.to_zoned(calendar.zone.rules().clone()).date();
            let wanted = date(2026, 1, 1) + Duration::from_hours(24 * index as u64);
            assert_eq!(day, wanted, "{zone} {text}");
        }
    }
}

#[test]
fn a_fire_time_that_is_moved_says_so() {
    let calendar = calendar("30 2 * * *", "America/New_York");
    let fires = calendar.fires("2026-03-07T00:00:00Z".parse().unwrap());
    let fires: Vec<_> = fires
        .take(3)
        .map(|at| (at.to_string(), calendar.is_moved(at)))
        .collect();
    assert_eq!(
        fires,
        [
            ("2026-03-07T07:30:00Z".to_owned(), false),
            ("2026-03-08T07:30:00Z".to_owned(), true),
            ("2026-03-09T06:30:00Z".to_owned(), false),
        ]
    );
}
