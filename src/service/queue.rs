//! Which drill is to be looked at next.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::domain::ids::DrillName;

/// Drills by the instant at which something is to be done about them.
#[derive(Debug, Default)]
pub struct Queue {
    order: BTreeSet<(Timestamp, DrillName)>,
    at: HashMap<DrillName, Timestamp>,
}

impl Queue {
    /// Puts a drill where it belongs, or takes it out.
    pub fn put(&mut self, drill: &DrillName, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.at.insert(drill.clone(), at),
            None => self.at.remove(drill),
        };
        if let Some(before) = before {
            self.order.remove(&(before, drill.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, drill.clone()));
        }
    }

    /// The instant of the first one.
    pub fn first(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes one out whose instant has come.
    pub fn take(&mut self, now: Timestamp) -> Option<DrillName> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, drill) = self.order.pop_first()?;
        self.at.remove(&drill);
        Some(drill)
    }

    /// The instant of a drill.
    pub fn of(&self, drill: &DrillName) -> Option<Timestamp> {
        self.at.get(drill).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_has_one_place() {
        let name = |text: &str| text.parse::<DrillName>().unwrap();
        let second = |s| Timestamp::from_second(s).unwrap();
        let mut queue = Queue::default();
        queue.put(&name("a"), Some(second(3)));
        queue.put(&name("b"), Some(second(2)));
        queue.put(&name("a"), Some(second(1)));
        assert_eq!(queue.first(), Some(second(1)));
        assert_eq!(queue.take(second(0)), None);
        assert_eq!(queue.take(second(5)), Some(name("a")));
        queue.put(&name("b"), None);
        assert_eq!((queue.take(second(5)), queue.first()), (None, None));
    }
}
