//! How a service ends.

use lifeboat::{domain::budget::Limits, service::Refused};

use super::stage::{Stage, minutely, pass};

/// A service that is stopped while a run goes on that takes so many seconds;
/// and whether that run was ended early.
async fn stopped_in_a_run(lasting: u64) -> (Stage, bool) {
    let mut stage = Stage::new(lasting, Limits::default());
    stage.keeps(&[minutely("a")]).await;
    pass(35).await;
    stage.stopped().await;
    let ended = stage.runs.ended.lock().unwrap().clone();
    let [(drill, begun, early)] = ended.as_slice() else {
        panic!("{ended:?}");
    };
    assert_eq!(
        (drill.as_str(), begun.as_str()),
        ("a", "2026-05-01T12:01:00Z")
    );
    let early = *early;
    (stage, early)
}

#[tokio::test(start_paused = true)]
async fn runs_that_end_soon_are_waited_for() {
    let (stage, early) = stopped_in_a_run(15).await;
    assert!(!early);
    assert_eq!(stage.service.status().await.unwrap_err(), Refused::Stopped);
}

#[tokio::test(start_paused = true)]
async fn runs_that_take_long_are_ended_and_nothing_new_begins() {
    let (stage, early) = stopped_in_a_run(3_600).await;
    assert!(early);
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}
