//! What goes wrong, on demand.

use super::requests::Asked;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is done, and this is answered.
    Answer(u16),
    /// Nothing is done, and nothing is answered, ever.
    Hang,
    /// Nothing is done, and the connection is cut.
    CutBefore,
    /// It is done, and the connection is cut before the answer. A stream is
    /// cut after its first piece.
    CutAfter,
    /// It is done, and nothing is answered, ever.
    NoAnswer,
    /// A watch is opened and never tells anything; a log never has a line.
    Silent,
    /// A watch ends in its first words: what it begins from is forgotten.
    Stale,
}

/// When something goes wrong.
pub struct Rule {
    pub of: Box<dyn Fn(&Asked) -> bool + Send + Sync>,
    /// The how manieth of those that fit, from 1.
    pub from: u64,
    pub times: u64,
    pub effect: Effect,
    seen: u64,
}

impl Rule {
    /// The `nth` request that fits, and only that.
    pub fn nth(
        nth: u64,
        effect: Effect,
        of: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            of: Box::new(of),
            from: nth,
            times: 1,
            effect,
            seen: 0,
        }
    }

    /// Every request that fits.
    pub fn every(effect: Effect, of: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> Self {
        Self {
            times: u64::MAX,
            ..Self::nth(1, effect, of)
        }
    }

    pub fn applies(&mut self, asked: &Asked) -> bool {
        if !(self.of)(asked) {
            return false;
        }
        self.seen += 1;
        self.seen >= self.from && self.seen - self.from < self.times
    }
}
