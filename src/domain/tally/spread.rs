//! How times are spread: what a histogram tells, in as little room as it needs,
//! for there are two of each drill.

use serde::{Deserialize, Serialize};

/// Upper bounds for recovery times and points, in milliseconds: from a second to a
/// week. Counts are kept by them: others would need another name.
pub const BOUNDS: [u32; 16] = [
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    7_200_000,
    21_600_000,
    86_400_000,
    259_200_000,
    604_800_000,
];

/// Times, counted by the first bound that they do not exceed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub counts: [u32; BOUNDS.len()],
    /// Those above all bounds.
    pub above: u32,
    /// In whole milliseconds: so it is the same in whatever order they are added.
    pub sum_ms: u64,
}

impl Spread {
    /// Adds a time, in milliseconds.
    pub fn observe(&mut self, ms: u64) {
        let bound = BOUNDS.iter().position(|bound| ms <= u64::from(*bound));
        let count = bound.map_or(&mut self.above, |bound| &mut self.counts[bound]);
        *count = count.saturating_add(1);
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }
}
