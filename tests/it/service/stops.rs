//! How a service ends.

use lifeboat::service::{Limits, Refused};

use super::stage::{Stage, minutely, pass};

#[tokio::test(start_paused = true)]
async fn runs_that_end_soon_are_waited_for() {
    let mut stage = Stage::new(15, Limits::default());
    stage.keeps(&[minutely("a")]).await;
    pass(35).await;
    stage.stopped().await;
    let ended = stage.runs.ended.lock().unwrap().clone();
    assert_eq!(
        ended,
        [("a".to_owned(), "2026-05-01T12:01:00Z".to_owned(), false)]
    );
    assert_eq!(stage.service.status().await.unwrap_err(), Refused::Stopped);
}

#[tokio::test(start_paused = true)]
async fn runs_that_take_long_are_ended_and_nothing_new_begins() {
    let mut stage = Stage::new(3_600, Limits::default());
    stage.keeps(&[minutely("a")]).await;
    pass(35).await;
    stage.stopped().await;
    let ended = stage.runs.ended.lock().unwrap().clone();
    assert_eq!(
        ended,
        [("a".to_owned(), "2026-05-01T12:01:00Z".to_owned(), true)]
    );
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}
