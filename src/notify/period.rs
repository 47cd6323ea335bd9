//! Which period a digest is of.

use jiff::{SignedDuration, Timestamp};

use crate::{history::Period, schedule::Calendar};

/// Longer than the years between two leap days, even around 1900 and 2100.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 9);

/// The newest period that has ended: from one fire time to the next.
///
/// It follows from the calendar alone, so all replicas name the same one, and
/// so does a service that was not there when it ended.
pub fn newest(calendar: &Calendar, now: Timestamp) -> Option<Period> {
    let mut back = SignedDuration::from_mins(1);
    while back < LONGEST * 2 {
        let from = now.checked_sub(back).ok()?;
        let past = calendar.fires(from).take_while(|fire| *fire <= now);
        // Far enough back there are two; not much farther, there are not many.
        if let [.., since, until] = past.collect::<Vec<_>>()[..] {
            return Some(Period { since, until });
        }
        back *= 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Zone;

    #[test]
    fn it_is_the_newest_one_that_has_ended() {
        for (cron, zone, now, since, until) in [
            (
                "0 8 * * *",
                "Europe/Berlin",
                "2026-11-26T07:00:00Z",
                "2026-11-25T07:00:00Z",
                "2026-11-26T07:00:00Z",
            ),
            (
                "0 8 * * *",
                "Europe/Berlin",
                "2026-11-26T06:59:59Z",
                "2026-11-24T07:00:00Z",
                "2026-11-25T07:00:00Z",
            ),
            // A day of 25 hours.
            (
                "@daily",
                "Europe/Berlin",
                "2026-10-25T23:30:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                "0 0 29 2 *",
                "UTC",
                "2026-11-26T00:00:00Z",
                "2020-02-29T00:00:00Z",
                "2024-02-29T00:00:00Z",
            ),
            (
                "* * * * * *",
                "UTC",
                "2026-11-26T00:00:00.5Z",
                "2026-11-25T23:59:59Z",
                "2026-11-26T00:00:00Z",
            ),
        ] {
            let calendar = Calendar {
                cron: cron.parse().unwrap(),
                zone: Zone::try_from(zone.to_owned()).unwrap(),
            };
            let wanted = Period {
                since: since.parse().unwrap(),
                until: until.parse().unwrap(),
            };
            let found = newest(&calendar, now.parse().unwrap());
            assert_eq!(found, Some(wanted), "{cron} at {now}");
        }
    }
}
