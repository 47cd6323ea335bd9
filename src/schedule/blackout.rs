//! Times at which no run starts.

use jiff::{
    Timestamp,
    civil::{DateTime, Time, Weekday},
};
use serde::{Deserialize, Serialize};

use super::Zone;

/// A span of time, by the clock of the schedule's zone. Its end is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blackout {
    Once { from: DateTime, to: DateTime },
    Weekly(Recurring),
}

/// A span that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    /// The days that it begins on, Monday as 0; every day where empty.
    pub days: Vec<u8>,
    pub from: Time,
    /// On the next day where it is not after `from`.
    pub to: Time,
}

impl Blackout {
    /// Whether an instant lies in it.
    #[must_use]
    pub fn covers(&self, at: Timestamp, zone: &Zone) -> bool {
        let reading = zone.rules().to_datetime(at);
        match self {
            Self::Once { from, to } => *from <= reading && reading < *to,
            Self::Weekly(span) => span.covers(reading),
        }
    }
}

impl Recurring {
    fn covers(&self, reading: DateTime) -> bool {
        let (time, day) = (reading.time(), reading.weekday());
        if self.from < self.to {
            return self.begins_on(day) && self.from <= time && time < self.to;
        }
        (self.begins_on(day) && self.from <= time)
            || (self.begins_on(day.previous()) && time < self.to)
    }

    fn begins_on(&self, day: Weekday) -> bool {
        let number = day.to_monday_zero_offset();
        self.days.is_empty() || self.days.iter().any(|&day| i8::try_from(day) == Ok(number))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::*;

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_it_begins_on() {
        let zone = Zone::try_from("Europe/Berlin".to_owned()).unwrap();
        let nights = Blackout::Weekly(Recurring {
            days: vec![4],
            from: time(22, 0, 0, 0),
            to: time(6, 0, 0, 0),
        });
        let covers = |day, hour, minute| {
            let reading = date(2026, 5, day).at(hour, minute, 0, 0);
            let at = reading.to_zoned(zone.rules().clone()).unwrap();
            nights.covers(at.timestamp(), &zone)
        };
        // 1 May 2026 is a Friday.
        assert!(!covers(1, 21, 59));
        assert!(covers(1, 22, 0));
        assert!(covers(2, 5, 59));
        assert!(!covers(2, 6, 0));
        assert!(!covers(2, 23, 0));
        assert!(!covers(1, 3, 0));
    }

    #[test]
    fn a_single_span_ends_before_its_end() {
        let zone = Zone::utc();
        let span = Blackout::Once {
            from: date(2026, 12, 24).at(0, 0, 0, 0),
            to: date(2026, 12, 27).at(0, 0, 0, 0),
        };
        for (at, covered) in [
            ("2026-12-23T23:59:59Z", false),
            ("2026-12-24T00:00:00Z", true),
            ("2026-12-26T23:59:59Z", true),
            ("2026-12-27T00:00:00Z", false),
        ] {
            assert_eq!(span.covers(at.parse().unwrap(), &zone), covered, "{at}");
        }
    }
}
