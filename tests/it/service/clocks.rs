//! Clocks that are wrong for a while.

use std::sync::{Arc, atomic::Ordering};

use lifeboat::domain::budget::Limits;

use super::{
    backups::{LOOKS, made},
    stage::{Stage, drill, minutely, of_backups, pass},
};

const DAY: i64 = 86_400;

/// Sets the clock so many seconds ahead of the right time.
fn ahead(stage: &Stage, seconds: i64) {
    stage.runs.clock.ahead.store(seconds, Ordering::SeqCst);
}

fn started(fires: &[String]) -> Vec<&str> {
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
    ahead(&stage, 30 * DAY);
    pass(20).await;
    ahead(&stage, 0);
    pass(130).await;
    let fires = stage.fires("a").await;
    assert_eq!(started(&fires).len(), 3, "{fires:?}");
    // One of a month later, and nothing of that month is missed.
    let passed = |fire: &&String| fire.ends_with("missed");
    assert_eq!(fires.iter().filter(passed).count(), 0, "{fires:?}");
}

/// It was somebody else's, or that of a service that is no more.
#[tokio::test(start_paused = true)]
async fn a_clock_of_another_one_that_was_ahead_stops_no_schedule() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[minutely("a")]).await;
    let history = stage.runs.history.clone();
    let mut wrong = Stage::on(history.clone(), "2026-06-01T15:00:30Z", 5, Limits::OPEN);
    wrong.keeps(&[minutely("a")]).await;
    pass(40).await;
    wrong.stopped().await;
    pass(40).await;
    let fires = stage.fires("a").await;
    assert!(started(&fires).contains(&"12:01 started"), "{fires:?}");
    let next = Stage::on(
        Arc::clone(&history),
        "2026-05-01T12:05:30Z",
        5,
        Limits::OPEN,
    );
    next.keeps(&[minutely("a")]).await;
    pass(40).await;
    let fires = next.fires("a").await;
    assert!(started(&fires).contains(&"12:06 started"), "{fires:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_of_a_time_to_come_stops_no_schedule_for_longer_than_it_is_there() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[of_backups("a", LOOKS)]).await;
    made(&stage, "2030-01-01T00:00:00Z");
    pass(60).await;
    assert_eq!(stage.fires("a").await, [""; 0]);
    let status = stage.service.status().await.unwrap();
    assert_eq!(status.drills[0].found, Some(true));
    made(&stage, "2026-05-01T12:01:40Z");
    pass(60).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}

/// What waits for room when the clock is set back is of a time that is still to come.
#[tokio::test(start_paused = true)]
async fn what_waits_by_a_clock_that_was_ahead_stops_no_schedule() {
    let limits = Limits {
        runs: 1,
        ..Limits::OPEN
    };
    let stage = Stage::new(100, limits);
    stage.keeps(&[minutely("a"), minutely("b")]).await;
    ahead(&stage, 30 * DAY);
    pass(20).await;
    assert_eq!(stage.service.status().await.unwrap().waiting, 1);
    ahead(&stage, 0);
    pass(400).await;
    let mut all = stage.fires("a").await;
    all.extend(stage.fires("b").await);
    assert!(started(&all).len() > 3, "{all:?}");
    let newest = all.iter().filter(|fire| fire.as_str() > "12:05");
    assert!(newest.count() > 1, "{all:?}");
}

/// Whoever was there then is no more, so nobody has seen the clock go back.
#[tokio::test(start_paused = true)]
async fn what_was_missed_by_a_clock_that_was_ahead_is_still_to_come() {
    let hourly = drill("a", "a.db", "cron: '0 * * * *'");
    let mut before = Stage::new(5, Limits::OPEN);
    before.keeps(std::slice::from_ref(&hourly)).await;
    before.stopped().await;
    let history = before.runs.history.clone();
    let mut wrong = Stage::on(history.clone(), "2026-05-04T15:30:30Z", 5, Limits::OPEN);
    wrong.keeps(std::slice::from_ref(&hourly)).await;
    pass(5).await;
    assert!(wrong.fires("a").await.contains(&"13:00 missed".to_owned()));
    assert_eq!(started(&wrong.fires("a").await), ["15:00 started"]);
    wrong.stopped().await;
    let next = Stage::on(history, "2026-05-01T12:30:30Z", 5, Limits::OPEN);
    next.keeps(std::slice::from_ref(&hourly)).await;
    pass(2 * 3_600).await;
    let fires = next.fires("a").await;
    // The last one was caught up with on the day that the wrong clock told.
    let all = ["13:00 started", "14:00 started", "15:00 started"];
    assert_eq!(started(&fires), all);
}
