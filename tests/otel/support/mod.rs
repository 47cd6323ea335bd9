//! What the tests share, some of it with those of `tests/it`.

pub mod collector;

#[path = "../../it/support/asking.rs"]
pub mod asking;
#[path = "../../it/support/certificate.rs"]
pub mod certificate;
#[path = "../../it/support/counts.rs"]
pub mod counts;
#[path = "../../it/support/records.rs"]
pub mod records;
#[path = "../../it/support/served.rs"]
#[expect(dead_code, reason = "more is asked of it there")]
pub mod served;
#[path = "../../it/support/world.rs"]
#[expect(dead_code, reason = "more is asked of it there")]
pub mod world;

use std::time::{Duration, Instant};

/// Waits for a state that can be seen; fails if it does not come about.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
