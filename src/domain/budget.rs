//! How much may go on at once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The most runs at once; 0 for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all drills.
    pub runs: usize,
    /// Against the same source.
    pub per_source: usize,
    /// Of workloads in the same namespace.
    pub per_namespace: usize,
    /// With volumes of the same storage class.
    pub per_storage_class: usize,
}

impl Limits {
    /// No limit at all.
    pub const OPEN: Self = Self {
        runs: 0,
        per_source: 0,
        per_namespace: 0,
        per_storage_class: 0,
    };

    /// What the limit of all runs is called.
    pub const ALL_RUNS: &str = "runs";

    #[must_use]
    pub fn are_open(&self) -> bool {
        *self == Self::OPEN
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs: 4,
            per_source: 1,
            per_namespace: 0,
            per_storage_class: 0,
        }
    }
}

/// What a run takes a share of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// One server, volume or file.
    Source(String),
    Namespace(String),
    StorageClass(String),
}

/// Adds what is shared beside that, each once.
pub fn share_more(shares: &mut Vec<Share>, more: Vec<Share>) {
    for share in more {
        if !shares.contains(&share) {
            shares.push(share);
        }
    }
}

/// What a run demands.
#[derive(Debug, Clone)]
pub struct Demand {
    pub limits: Limits,
    /// What it takes a share of.
    pub shares: Vec<Share>,
    /// Somebody was promised it: it begins only while it is wanted.
    pub promised: bool,
}

impl Demand {
    /// However many others there are.
    #[must_use]
    pub fn unlimited(shares: Vec<Share>) -> Self {
        Self {
            limits: Limits::OPEN,
            shares,
            promised: false,
        }
    }
}

/// What is taken by the runs that go on.
#[derive(Debug, Default)]
pub struct Taken {
    runs: usize,
    shares: HashMap<Share, usize>,
}

impl Taken {
    /// The limit that leaves no room for one more run, if one does.
    #[must_use]
    pub fn full(&self, limits: Limits, shares: &[Share]) -> Option<&'static str> {
        let reached = |taken: usize, limit: usize| limit != 0 && taken >= limit;
        if reached(self.runs, limits.runs) {
            return Some(Limits::ALL_RUNS);
        }
        shares.iter().find_map(|share| {
            let taken = self.shares.get(share).copied().unwrap_or(0);
            let (limit, name) = match share {
                Share::Source(_) => (limits.per_source, "per source"),
                Share::Namespace(_) => (limits.per_namespace, "per namespace"),
                Share::StorageClass(_) => (limits.per_storage_class, "per storage class"),
            };
            reached(taken, limit).then_some(name)
        })
    }

    pub fn take(&mut self, shares: &[Share]) {
        self.runs += 1;
        for share in shares {
            *self.shares.entry(share.clone()).or_default() += 1;
        }
    }

    pub fn give_back(&mut self, shares: &[Share]) {
        self.runs -= 1;
        for share in shares {
            if let Some(taken) = self.shares.get_mut(share) {
                *taken -= 1;
            }
        }
        self.shares.retain(|_, taken| *taken > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_limit_holds() {
        let limits = Limits {
            runs: 3,
            per_source: 1,
            per_namespace: 2,
            ..Limits::OPEN
        };
        let of = |source: &str| {
            let source = Share::Source(source.to_owned());
            vec![source, Share::Namespace("shop".to_owned())]
        };
        let mut taken = Taken::default();
        taken.take(&of("a"));
        assert_eq!(taken.full(limits, &of("a")), Some("per source"));
        assert_eq!(taken.full(limits, &of("b")), None);
        taken.take(&of("b"));
        assert_eq!(taken.full(limits, &of("c")), Some("per namespace"));
        assert_eq!(taken.full(limits, &[]), None);
        taken.take(&[]);
        assert_eq!(taken.full(limits, &[]), Some("runs"));
        assert_eq!(taken.full(Limits::OPEN, &of("a")), None);
        taken.give_back(&of("a"));
        assert_eq!(taken.full(limits, &of("a")), None);
    }
}
