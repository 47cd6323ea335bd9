//! Whatever goes wrong between Lifeboat and the API server, a run has a clear
//! end, nothing is left, and what is others' is as it was.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lifeboat::{
    domain::{
        record::RunRecord,
        timeline::Milestone,
        verdict::{Cleanup, Verdict},
    },
    k8s::Kind,
};

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Effect, Pace, Rule, Verb, world::From},
};

/// More requests than a drill makes.
const MOST: u64 = 200;

/// Drills at once, each with a cluster of its own.
const AT_ONCE: u64 = 12;

/// Runs a drill in which the `nth` request has that effect. Whether it came to
/// so many requests.
async fn run_with(from: From, effect: Effect, nth: u64) -> bool {
    let scene = Scene::new(from, Pace::default()).await;
    let seen = Arc::new(AtomicU64::new(0));
    let count = seen.clone();
    let broken = Arc::new(Mutex::new(String::new()));
    let told = broken.clone();
    scene.fake.break_by(Rule::nth(nth, effect, move |asked| {
        // Only what changes something can conflict.
        if effect == CONFLICT && !matches!(asked.verb, Verb::Create | Verb::Delete) {
            return false;
        }
        if count.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            *told.lock().unwrap() = asked.to_string();
        }
        true
    }));
    let record = scene.run().await;
    let reached = seen.load(Ordering::Relaxed) >= nth;
    let what = format!("{from:?}, {effect:?} to {nth}, {}", broken.lock().unwrap());
    ends_well(&scene, &record, &what);
    // What is only lost on the way is asked for again; but a server that has
    // never answered is not believed to be there.
    let lost = nth == 1 && matches!(effect, Effect::CutBefore | Effect::CutAfter);
    if effect != CONFLICT && !lost {
        passed(&record, &what);
    }
    reached
}

/// Somebody else changed it in between.
const CONFLICT: Effect = Effect::Answer(409);

fn ends_well(scene: &Scene, record: &RunRecord, what: &str) {
    let (cleanup, reasons) = (&record.cleanup, &record.reasons);
    assert!(record.verdict.is_some(), "{what}");
    assert_eq!(*cleanup, Cleanup::Clean, "{what}: {reasons:?}");
    assert!(record.finished_at.is_some(), "{what}: {reasons:?}");
    scene.is_clean(what);
}

fn passed(record: &RunRecord, what: &str) {
    let (verdict, reasons) = (record.verdict, &record.reasons);
    assert_eq!(verdict, Some(Verdict::Passed), "{what}: {reasons:?}");
}

/// Each request of a drill goes wrong once, in a run of its own.
async fn each_request(from: From, effect: Effect) {
    let mut nth = 1;
    loop {
        let batch = (nth..nth + AT_ONCE).map(|nth| tokio::spawn(run_with(from, effect, nth)));
        let mut all = true;
        for (run, nth) in batch.collect::<Vec<_>>().into_iter().zip(nth..) {
            let ended = run.await;
            all &= ended.unwrap_or_else(|error| panic!("{effect:?} to {nth}: {error}"));
        }
        nth += AT_ONCE;
        if !all {
            break;
        }
        assert!(nth < MOST, "a drill has more than {MOST} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_snapshot_drill_may_be_answered_with_an_error() {
    each_request(From::Held, Effect::Answer(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_snapshot_drill_may_meet_a_conflict() {
    each_request(From::Held, CONFLICT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_snapshot_drill_may_be_cut_off_before_its_effect() {
    each_request(From::Held, Effect::CutBefore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_snapshot_drill_may_be_cut_off_after_its_effect() {
    each_request(From::Held, Effect::CutAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_dump_drill_may_be_answered_with_an_error() {
    each_request(From::Dump, Effect::Answer(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_dump_drill_may_meet_a_conflict() {
    each_request(From::Dump, CONFLICT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_dump_drill_may_be_cut_off_after_its_effect() {
    each_request(From::Dump, Effect::CutAfter).await;
}

/// A pace at which watches have something to wait for.
fn slow() -> Pace {
    Pace {
        controller: Duration::from_millis(60),
        agent: Duration::from_millis(20),
        verify: Duration::from_millis(100),
        ..Pace::default()
    }
}

/// A drill passes although all watches, or the first of each kind, go wrong.
async fn passes_with(rule: Rule) {
    let scene = Scene::new(From::Snapshot, slow()).await;
    scene.fake.break_by(rule);
    let record = scene.run().await;
    ends_well(&scene, &record, "a watch that goes wrong");
    passed(&record, "a watch that goes wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_dropped_is_taken_up_again() {
    // The first change comes, and nothing after it.
    passes_with(Rule::every(Effect::CutAfter, |asked| {
        asked.verb == Verb::Watch
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_stale_begins_anew() {
    let mut rule = Rule::nth(1, Effect::Stale, |asked| asked.verb == Verb::Watch);
    rule.times = 6;
    passes_with(rule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_refused_as_stale_begins_anew() {
    let mut rule = Rule::nth(1, Effect::Answer(410), |asked| asked.verb == Verb::Watch);
    rule.times = 6;
    passes_with(rule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_tells_nothing_does_not_hide_what_is_there() {
    passes_with(Rule::nth(1, Effect::Silent, |asked| {
        asked.is(Verb::Watch, Kind::VolumeSnapshot)
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_breaks_off_is_taken_up_again_and_no_line_counts_twice() {
    let pace = Pace {
        beat: Duration::from_millis(20),
        ..slow()
    };
    let scene = Scene::new(From::Held, pace).await;
    let mut rule = Rule::nth(1, Effect::CutAfter, |asked| asked.verb == Verb::Log);
    rule.times = 3;
    scene.fake.break_by(rule);
    let record = scene.run().await;
    ends_well(&scene, &record, "a log that breaks off");
    passed(&record, "a log that breaks off");
    let lost = record.notes.iter().filter(|note| note.contains("lost"));
    assert_eq!(lost.count(), 0, "{:#?}", record.notes);
    let checks = record.checks.iter().filter(|check| check.name == "canary");
    assert_eq!(checks.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_data_cannot_be_prepared_ends_the_drill() {
    let scene = Scene::new(From::Snapshot, Pace::default()).await;
    let words = "there is no PG_VERSION in /data";
    scene.fake.inner.state().fails = Some(words);
    let record = scene.run().await;
    ends_well(&scene, &record, "data that are not there");
    assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
    let message = record.failure.unwrap().failure.message;
    for part in ["lifeboat-before", "ended with 1", words] {
        assert!(message.contains(part), "{message}");
    }
}

/// A drill whose agent is killed while it checks, and started anew; its status
/// says so after a while.
async fn restarted(later: Duration) {
    let pace = Pace {
        verify: Duration::from_hours(1),
        ..Pace::default()
    };
    let scene = Scene::new(From::Snapshot, pace).await;
    let killed = scene.fake.restart_agent(8, later);
    let (record, ()) = tokio::join!(scene.run(), killed);
    ends_well(&scene, &record, "a restarted agent");
    assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
    let message = record.failure.unwrap().failure.message;
    for part in ["was restarted", "137", "OOMKilled"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_restarted_ends_the_drill() {
    restarted(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_restart_is_told_late_ends_the_drill() {
    restarted(Duration::from_millis(700)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_forgets_its_past_is_listed_anew() {
    let scene = Scene::new(From::Snapshot, slow()).await;
    let inner = scene.fake.inner.clone();
    // Not for ever: on a busy machine a list may be older than that before it is
    // watched from, again and again.
    let forgetting = tokio::spawn(async move {
        for _ in 0..60 {
            inner.state().store.forget();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    scene.fake.break_by(Rule::every(Effect::CutAfter, |asked| {
        asked.is(Verb::Watch, Kind::PersistentVolumeClaim)
    }));
    let record = scene.run().await;
    forgetting.abort();
    ends_well(&scene, &record, "a cluster that forgets");
    passed(&record, "a cluster that forgets");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_come_late_do_not_make_a_milestone_late() {
    let scene = Scene::new(From::Snapshot, Pace::default()).await;
    // Each attempt is broken off, and the pauses between them grow: to some
    // seconds in all.
    let mut rule = Rule::every(Effect::CutBefore, |asked| {
        asked.is(Verb::Watch, Kind::PersistentVolumeClaim)
    });
    rule.times = 6;
    scene.fake.break_by(rule);
    let record = scene.run().await;
    passed(&record, "late news");
    let reached = |milestone| record.timeline.get(milestone).unwrap();
    let (ready, bound) = (
        reached(Milestone::SandboxReady),
        reached(Milestone::StorageBound),
    );
    // The volume was there at once; without a correction all of the delay would
    // be before the milestone, and none behind.
    let before = bound.offset_us - ready.offset_us;
    assert!(bound.lag_us > before, "{ready:?} {bound:?}");
    let learnt = bound.offset_us + bound.lag_us;
    assert!(learnt <= reached(Milestone::Accepting).offset_us);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: `make soak`"]
async fn a_request_that_hangs_is_asked_again() {
    let nths = [2, 9, 17, 25, 40, 50, 60, 70]
        .map(|nth| tokio::spawn(async move { run_with(From::Snapshot, Effect::Hang, nth).await }));
    for run in nths {
        run.await.unwrap();
    }
}
