//! What keeps traces from being exported, told once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether traces are not exported. It is said when it begins, and again only
/// after one got through: a collector that is down for a night is one line.
#[derive(Debug, Default)]
pub(super) struct Trouble(AtomicBool);

impl Trouble {
    pub fn met(&self, why: &str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "traces cannot be exported");
        }
    }

    pub fn over(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("traces are exported again");
        }
    }
}
