//! Fire times of an expression in a time zone.
//!
//! Where clocks are changed, some readings never come and some come twice. What
//! is right then depends on what was meant:
//!
//! - An expression with given hours names readings: `30 2 * * *` fires once on
//!   every day. A reading that is jumped over fires as long after the jump as
//!   it stands behind its beginning, so 02:30 at 03:30; one that comes twice
//!   fires at its first coming.
//! - An expression for every hour names a rhythm: `*/30 * * * *` fires every
//!   half hour, whatever the clock reads.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Cron, Zone};

/// No change of clocks was ever larger: Samoa left a whole day out in 2011.
const LARGEST_CHANGE: SignedDuration = SignedDuration::from_hours(25);

/// When something is to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    pub cron: Cron,
    pub zone: Zone,
}

impl std::fmt::Display for Calendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.cron, self.zone)
    }
}

impl Calendar {
    /// All fire times after `after`, in order.
    pub fn fires(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |&last| self.next(last))
    }

    /// The first fire time after `after`.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.cron.is_every_hour() {
            self.next_of_rhythm(after)
        } else {
            self.next_of_readings(after)
        }
    }

    /// Whether no clock reads what is written at a fire time, as it was jumped
    /// over.
    #[must_use]
    pub fn is_moved(&self, fire: Timestamp) -> bool {
        let reading = self.reading(fire);
        let before = reading.saturating_sub(SignedDuration::from_secs(1));
        self.cron.after(before).next() != Some(reading)
    }

    fn rules(&self) -> &TimeZone {
        self.zone.rules()
    }

    fn reading(&self, at: Timestamp) -> DateTime {
        self.rules().to_datetime(at)
    }

    /// Between two changes of the clocks, readings and instants go side by side.
    fn next_of_rhythm(&self, after: Timestamp) -> Option<Timestamp> {
        let mut reading = self.reading(after);
        let mut offset = self.rules().to_offset(after);
        let mut changes = self.rules().following(after);
        loop {
            let next = offset.to_timestamp(self.cron.after(reading).next()?).ok()?;
            match changes.next() {
                Some(change) if change.timestamp() <= next => {
                    // The clock is changed before: go on from what it reads then.
                    offset = change.offset();
                    let reads = offset.to_datetime(change.timestamp());
                    reading = reads.saturating_sub(SignedDuration::from_secs(1));
                }
                _ => return Some(next),
            }
        }
    }

    fn next_of_readings(&self, after: Timestamp) -> Option<Timestamp> {
        let reading = self.reading(after);
        let next = self.cron.after(reading).next()?;
        let fire = self.place(next)?;
        let around = after.checked_sub(LARGEST_CHANGE).ok()?;
        let mut changes = self.rules().following(around);
        let unchanged = changes
            .next()
            .is_none_or(|change| change.timestamp() > fire.max(after));
        if unchanged {
            return Some(fire);
        }
        // Instants need not follow each other as readings do: look at all that
        // may come first.
        let begin = reading.saturating_sub(LARGEST_CHANGE);
        let end = next.saturating_add(LARGEST_CHANGE);
        let near = self.cron.after(begin).take_while(|&reading| reading <= end);
        near.filter_map(|reading| self.place(reading))
            .filter(|&fire| fire > after)
            .min()
    }

    /// When a clock reads this, for the first time.
    fn place(&self, reading: DateTime) -> Option<Timestamp> {
        let placed = self.rules().to_ambiguous_zoned(reading).compatible();
        placed.ok().map(|placed| placed.timestamp())
    }
}
