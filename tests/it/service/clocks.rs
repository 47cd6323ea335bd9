//! Clocks that are wrong for a while.

use std::sync::{Arc, atomic::Ordering};

use lifeboat::domain::budget::Limits;

use super::{
    backups::{LOOKS, made},
    stage::{Stage, minutely, of_backups, pass},
};

const DAY: i64 = 86_400;

/// Sets the clock so many seconds ahead of the right time.
fn ahead(stage: &Stage, seconds: i64) {
    stage.runs.clock.ahead.store(seconds, Ordering::SeqCst);
}

fn today(fires: &[String]) -> Vec<&str> {
    let fires = fires.iter().map(String::as_str);
    fires.filter(|fire| fire.ends_with("started")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[of_backups("a", LOOKS)]).await;
    ahead(&stage, DAY);
    pass(60).await;
    ahead(&stage, 0);
    made(&stage, "2026-05-01T12:01:40Z");
    pass(60).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_stops_no_schedule() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[minutely("a")]).await;
    // A month, in which nobody was there.
    ahead(&stage, 30 * DAY);
    pass(20).await;
    ahead(&stage, 0);
    pass(130).await;
    let fires = stage.fires("a").await;
    assert_eq!(today(&fires).len(), 3, "{fires:?}");
    // One of the month, and no time that is still to come has passed.
    let passed = |fire: &&String| fire.ends_with("missed");
    assert_eq!(fires.iter().filter(passed).count(), 0, "{fires:?}");
}

/// It was somebody else's, or that of a service that is no more.
#[tokio::test(start_paused = true)]
async fn a_clock_of_another_one_that_was_ahead_stops_no_schedule() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[minutely("a")]).await;
    let history = stage.runs.history.clone();
    let mut wrong = Stage::on(history.clone(), "2026-06-01T12:00:30Z", 5, Limits::OPEN);
    wrong.keeps(&[minutely("a")]).await;
    pass(40).await;
    wrong.stopped().await;
    pass(40).await;
    let fires = stage.fires("a").await;
    assert!(today(&fires).contains(&"12:01 started"), "{fires:?}");
    let next = Stage::on(
        Arc::clone(&history),
        "2026-05-01T12:05:30Z",
        5,
        Limits::OPEN,
    );
    next.keeps(&[minutely("a")]).await;
    pass(40).await;
    let fires = next.fires("a").await;
    assert!(today(&fires).contains(&"12:06 started"), "{fires:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_of_a_time_to_come_stops_no_schedule() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[of_backups("a", LOOKS)]).await;
    made(&stage, "2030-01-01T00:00:00Z");
    pass(60).await;
    assert_eq!(stage.fires("a").await, [""; 0]);
    made(&stage, "2026-05-01T12:01:40Z");
    pass(60).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}
