//! Runs of processes that are gone, taken up by a keeper.

use jiff::Timestamp;
use lifeboat::{
    domain::{
        budget::{Demand, Limits},
        ids::RunId,
        record::RunRecord,
    },
    runner::store::{Gone, RunStore},
    service::{Heir, Orphan, State},
};

use super::stage::{BEGIN, Stage, minutely, pass};
use crate::support::stage::owner;

/// A service of one drill whose runs last so many seconds, and a run of the drill
/// `a` that some other process has begun.
async fn orphaned(lasting: u64, drill: &str) -> (Stage, RunId) {
    let stage = Stage::new(lasting, Limits::default());
    stage.keeps(&[minutely(drill)]).await;
    let at: Timestamp = BEGIN.parse().unwrap();
    let record = RunRecord::requested(RunId::new(at), "a", "sqlite", at);
    let demand = Demand::unlimited(Vec::new());
    let begun = stage.runs.history.begin(&record, &owner(), &demand).await;
    begun.unwrap();
    (stage, record.id)
}

async fn taken_up(stage: &Stage, run: RunId) -> Heir {
    let unfinished = stage.runs.history.unfinished().await.unwrap();
    let run = unfinished.into_iter().find(|one| one.record.id == run);
    let orphan = Orphan {
        run: Box::new(run.unwrap()),
        gone: Gone::Seen,
    };
    stage.service.take_up(orphan).await.unwrap()
}

async fn state(stage: &Stage) -> State {
    let drill = stage.service.drill("a".parse().unwrap()).await.unwrap();
    drill.unwrap().state
}

#[tokio::test(start_paused = true)]
async fn it_is_the_drills_run_until_it_has_ended() {
    let (stage, run) = orphaned(100, "a").await;
    assert_eq!(taken_up(&stage, run).await, Heir::Here);
    pass(1).await;
    assert!(matches!(state(&stage).await, State::Running { run: id, .. } if id == run));
    assert_eq!(taken_up(&stage, run).await, Heir::Here, "already");
    assert!(stage.ask("a").await.is_err(), "the drill runs");
    // One fire time passes meanwhile, and the next one has its run.
    pass(150).await;
    assert_eq!(
        stage.fires("a").await,
        ["12:01 overlap", "12:02 overlap", "12:03 started"]
    );
}

#[tokio::test(start_paused = true)]
async fn it_can_be_cancelled() {
    let (stage, run) = orphaned(3_600, "a").await;
    assert_eq!(taken_up(&stage, run).await, Heir::Here);
    assert!(stage.service.cancel(run).await.unwrap());
    pass(1).await;
    assert!(matches!(state(&stage).await, State::Idle));
}

#[tokio::test(start_paused = true)]
async fn that_of_a_drill_that_is_not_there_is_left_alone() {
    let (stage, run) = orphaned(10, "b").await;
    assert_eq!(taken_up(&stage, run).await, Heir::Nobody);
}

/// The other run cannot begin: so its turn comes.
#[tokio::test(start_paused = true)]
async fn it_is_not_given_up_while_another_run_of_its_drill_is_refused() {
    let (stage, run) = orphaned(10, "a").await;
    stage
        .runs
        .held_up
        .store(2, std::sync::atomic::Ordering::SeqCst);
    pass(31).await;
    assert_eq!(taken_up(&stage, run).await, Heir::Later);
    pass(3).await;
    assert_eq!(stage.fires("a").await, ["12:01 overlap"]);
    assert_eq!(taken_up(&stage, run).await, Heir::Here);
}
