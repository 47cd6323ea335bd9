//! What starts when, and what does not.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use lifeboat::{
    domain::budget::Limits,
    history::{Filter, Queries, replicas::Replicas},
    runner::cancel::Why,
    service::{Refused, State},
};

use super::stage::{BEGIN, Stage, drill, minutely, pass};

/// No limits.
const OPEN: Limits = Limits::OPEN;

#[tokio::test(start_paused = true)]
async fn every_fire_time_has_its_run() {
    let stage = Stage::new(5, OPEN);
    stage
        .keeps(&[minutely("a"), drill("b", "b.db", "cron: '1-59/2 * * * *'")])
        .await;
    pass(180).await;
    let began = [
        "a 12:01:00",
        "b 12:01:00",
        "a 12:02:00",
        "a 12:03:00",
        "b 12:03:00",
    ];
    let mut told = stage.began();
    told.sort_by_key(|line| (line[2..].to_owned(), line[..1].to_owned()));
    assert_eq!(told, began);
    let started = ["12:01 started", "12:02 started", "12:03 started"];
    assert_eq!(stage.fires("a").await, started);
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_goes_on_is_not_begun_again() {
    let stage = Stage::new(90, OPEN);
    stage.keeps(&[minutely("a")]).await;
    pass(180).await;
    let wanted = ["12:01 started", "12:02 overlap", "12:03 started"];
    assert_eq!(stage.fires("a").await, wanted);
}

/// The drill `a` at these times, with something more in its schedule.
fn a(cron: &str, more: &str) -> lifeboat::spec::drill::Drill {
    drill("a", "a.db", &format!("cron: '{cron}', {more}"))
}

#[tokio::test(start_paused = true)]
async fn the_newest_fire_time_waits_for_the_run_before() {
    let stage = Stage::new(100, OPEN);
    stage.keeps(&[a("* * * * *", "overlap: wait")]).await;
    // It is 12:02:30, and the first run goes on.
    pass(120).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
    pass(180).await;
    assert_eq!(stage.began(), ["a 12:01:00", "a 12:02:40"]);
    // That of 12:03 waited, too, until the next one came; that of 12:05 does.
    let wanted = [
        "12:01 started",
        "12:02 started",
        "12:03 overlap",
        "12:04 started",
    ];
    assert_eq!(stage.fires("a").await, wanted);
    assert_eq!(stage.ended_early().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_fire_time_waits_for_the_run_before_until_it_is_too_late() {
    let stage = Stage::new(100, OPEN);
    let more = "startingDeadline: 20s, overlap: wait";
    stage.keeps(&[a("* * * * *", more)]).await;
    pass(105).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
    pass(15).await;
    let passed = ["12:01 started", "12:02 overlap"];
    assert_eq!(stage.fires("a").await, passed);
    pass(40).await;
    assert_eq!(stage.fires("a").await[2..], ["12:03 started"]);
}

#[tokio::test(start_paused = true)]
async fn a_fire_time_that_waits_for_the_run_before_outlives_its_service() {
    let one = Stage::new(3_600, OPEN);
    one.keeps(&[a("* * * * *", "overlap: wait")]).await;
    pass(100).await;
    one.keeper.abort();
    let history = one.runs.history.clone();
    let other = Stage::on(history, "2026-05-01T12:02:20Z", 1, OPEN);
    other.keeps(&[a("* * * * *", "overlap: wait")]).await;
    pass(5).await;
    // What the first one has begun goes on here, as its task was not ended.
    assert_eq!(other.fires("a").await, ["12:01 started"]);
    let run = other.runs.history.list(&Filter::default()).await.unwrap()[0].id;
    let asked = other.runs.history.ask_to_end(run, Why::Asked).await;
    assert!(asked.unwrap());
    pass(5).await;
    assert_eq!(other.fires("a").await, ["12:01 started", "12:02 started"]);
}

#[tokio::test(start_paused = true)]
async fn the_run_before_makes_room_for_the_next() {
    let stage = Stage::new(90, OPEN);
    stage.keeps(&[a("* * * * *", "overlap: replace")]).await;
    stage.runs.after.store(7, Ordering::SeqCst);
    pass(170).await;
    let wanted = ["12:01 started", "12:02 started", "12:03 started"];
    assert_eq!(stage.fires("a").await, wanted);
    // Each began when the one before had given everything back.
    assert_eq!(stage.began(), ["a 12:01:00", "a 12:02:07"]);
    let ended = ["12:01 Replaced", "12:02 Replaced"];
    assert_eq!(stage.ended_early().await, ended);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_make_room_and_has_not_begun_passes() {
    let stage = Stage::new(5, OPEN);
    stage.keeps(&[a("* * * * *", "overlap: replace")]).await;
    stage.runs.held_up.store(70, Ordering::SeqCst);
    pass(60).await;
    stage.runs.held_up.store(0, Ordering::SeqCst);
    pass(40).await;
    let wanted = ["12:01 missed", "12:02 started"];
    assert_eq!(stage.fires("a").await, wanted);
    assert_eq!(stage.began(), ["a 12:02:00"]);
}

#[tokio::test(start_paused = true)]
async fn no_run_that_was_promised_makes_room() {
    let stage = Stage::new(100, Limits { runs: 1, ..OPEN });
    let replaced = a("* * * * *", "overlap: replace");
    stage
        .keeps(&[replaced, drill("b", "b.db", "cron: '@yearly'")])
        .await;
    stage.ask("b").await.unwrap();
    pass(1).await;
    stage.ask("a").await.unwrap();
    // It begins at 12:02:10, when the other one has ended, and is waited for.
    pass(160).await;
    let passed = ["12:01 overlap", "12:02 overlap"];
    assert_eq!(stage.fires("a").await, passed);
    pass(45).await;
    let wanted = [passed[0], passed[1], "12:03 started"];
    assert_eq!(stage.fires("a").await, wanted);
    // Those that have ended.
    assert_eq!(stage.began(), ["b 12:00:30", "a 12:02:10"]);
    assert_eq!(stage.ended_early().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_service_that_somebody_asked_for_makes_no_room() {
    let one = Stage::new(80, OPEN);
    one.keeps(&[a("@yearly", "overlap: skip")]).await;
    one.ask("a").await.unwrap();
    let other = Stage::on(one.runs.history.clone(), BEGIN, 5, OPEN);
    other.keeps(&[a("1 12 * * *", "overlap: replace")]).await;
    pass(70).await;
    assert_eq!(other.fires("a").await, [""; 0]);
    pass(60).await;
    assert_eq!(other.fires("a").await, ["12:01 started"]);
    assert_eq!(one.ended_early().await, [""; 0]);
}

/// A service whose run of 12:01 goes on, lasts so many seconds, and takes ten to
/// give everything back; and another one that has this to do at 12:02.
async fn beside_another(lasting: u64, more: &str) -> (Stage, Stage) {
    let one = Stage::new(lasting, OPEN);
    one.keeps(&[a("1 12 * * *", "overlap: skip")]).await;
    one.runs.giving_back.store(10, Ordering::SeqCst);
    let other = Stage::on(one.runs.history.clone(), BEGIN, 5, OPEN);
    other.keeps(&[a("2 12 * * *", more)]).await;
    (one, other)
}

/// Between these seconds after 12:02:00 the service has begun its only run.
fn began_within(stage: &Stage, seconds: std::ops::Range<u32>) {
    let began = stage.began();
    let [line] = began.as_slice() else {
        panic!("{began:?}");
    };
    let second = line.strip_prefix("a 12:02:").and_then(|s| s.parse().ok());
    assert!(second.is_some_and(|s| seconds.contains(&s)), "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_service_is_waited_for() {
    let (_one, other) = beside_another(80, "overlap: wait").await;
    pass(140).await;
    // Its verdict came at 12:02:20, and its end at 12:02:30.
    let wanted = ["12:01 started", "12:02 started"];
    assert_eq!(other.fires("a").await, wanted);
    began_within(&other, 30..33);
    assert_eq!(other.ended_early().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_service_is_waited_for_until_it_is_too_late() {
    let more = "startingDeadline: 20s, overlap: wait";
    let (_one, other) = beside_another(3_600, more).await;
    pass(105).await;
    assert_eq!(other.fires("a").await, ["12:01 started"]);
    pass(15).await;
    let wanted = ["12:01 started", "12:02 overlap"];
    assert_eq!(other.fires("a").await, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_service_makes_room() {
    let (_one, other) = beside_another(3_600, "overlap: replace").await;
    pass(140).await;
    let wanted = ["12:01 started", "12:02 started"];
    assert_eq!(other.fires("a").await, wanted);
    began_within(&other, 10..14);
    assert_eq!(other.ended_early().await, ["12:01 Replaced"]);
}

#[tokio::test(start_paused = true)]
async fn very_many_that_are_due_at_once_each_have_their_run_or_their_reason() {
    let limits = Limits { runs: 3, ..OPEN };
    let stage = Stage::new(20, limits);
    let at_one = "cron: '1 12 * * *', startingDeadline: 1m";
    let drills: Vec<_> = (0..3_000).map(|number| format!("d{number}")).collect();
    let drills: Vec<_> = drills
        .iter()
        .map(|name| drill(name, &format!("{name}.db"), at_one))
        .collect();
    stage.keeps(&drills).await;
    pass(150).await;
    let mut outcomes = BTreeMap::new();
    for drill in &drills {
        for outcome in stage.fires(drill.name.as_str()).await {
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
    }
    // Three at 12:01:00, and three each 20 s after those before, to 12:02.
    let wanted = [("12:01 budget", 2_991), ("12:01 started", 9)];
    let wanted = wanted.map(|(outcome, count)| (outcome.to_owned(), count));
    assert_eq!(outcomes, BTreeMap::from(wanted));
    assert_eq!(stage.service.status().await.unwrap().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_a_schedule_that_waits_can_be_cancelled() {
    let limits = Limits { runs: 1, ..OPEN };
    let stage = Stage::new(100, limits);
    let soon = "cron: '1 * * * *', startingDeadline: 30m";
    stage
        .keeps(&[drill("a", "a.db", soon), drill("b", "b.db", soon)])
        .await;
    pass(60).await;
    let status = stage.service.status().await.unwrap();
    let waiting = status.drills.iter().find_map(|one| match one.state {
        State::Waiting { run, .. } => Some((one.drill.name.to_string(), run)),
        _ => None,
    });
    let (name, run) = waiting.unwrap();
    assert!(stage.service.cancel(run).await.unwrap());
    assert!(!stage.service.cancel(run).await.unwrap());
    pass(600).await;
    assert_eq!(stage.fires(&name).await, ["12:01 cancelled"]);
    assert_eq!(stage.began().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_waits_until_it_is_too_late() {
    let limits = Limits { runs: 1, ..OPEN };
    let stage = Stage::new(100, limits);
    let soon = "cron: '1 * * * *', startingDeadline: 2m";
    let late = "cron: '1 * * * *', startingDeadline: 1m";
    let drills = [
        drill("a", "a.db", soon),
        drill("b", "b.db", soon),
        drill("c", "c.db", late),
    ];
    stage.keeps(&drills).await;
    pass(60).await;
    let status = stage.service.status().await.unwrap();
    assert_eq!((status.running, status.waiting), (1, 2));
    let waits = |state| matches!(state, State::Waiting { .. });
    assert_eq!(
        status.drills.iter().filter(|one| waits(one.state)).count(),
        2
    );
    pass(300).await;
    assert_eq!(stage.fires("c").await, ["12:01 budget"]);
    let began = stage.began();
    assert_eq!(began.len(), 2, "{began:?}");
    // One followed the other.
    assert!(
        began[0].ends_with("12:01:00") && began[1].ends_with("12:02:40"),
        "{began:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_source_is_drilled_once_at_a_time() {
    let limits = Limits {
        per_source: 1,
        ..OPEN
    };
    let stage = Stage::new(10, limits);
    let every = "cron: '* * * * *'";
    let drills = [
        drill("a", "same.db", every),
        drill("b", "same.db", every),
        minutely("c"),
    ];
    stage.keeps(&drills).await;
    pass(60).await;
    let mut began = stage.began();
    began.sort();
    assert_eq!(began[2], "c 12:01:00");
    let mut of_same = [&began[0][2..], &began[1][2..]];
    of_same.sort_unstable();
    assert_eq!(of_same, ["12:01:00", "12:01:10"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nobody_was_there_is_told() {
    let mut stage = Stage::new(1, OPEN);
    let hourly = |more: &str| drill("a", "a.db", &format!("cron: '0 * * * *'{more}"));
    stage.keeps(&[hourly(", startingDeadline: 10m")]).await;
    stage.stopped().await;

    let history = stage.runs.history.clone();
    let mut next = Stage::on(history.clone(), "2026-05-01T15:20:00Z", 1, OPEN);
    next.keeps(&[hourly(", startingDeadline: 10m")]).await;
    pass(1).await;
    assert_eq!(
        next.fires("a").await,
        ["13:00 missed", "14:00 missed", "15:00 missed"]
    );
    next.stopped().await;

    let last = Stage::on(history, "2026-05-01T17:20:00Z", 1, OPEN);
    last.keeps(&[hourly(", startingDeadline: 10m, catchUp: once")])
        .await;
    pass(5).await;
    let fires = last.fires("a").await;
    assert_eq!(fires[3..], ["16:00 missed", "17:00 started"]);
    assert_eq!(last.began(), ["a 17:20:00"]);
}

#[tokio::test(start_paused = true)]
async fn another_calendar_makes_up_for_nothing() {
    let stage = Stage::new(1, OPEN);
    stage
        .keeps(&[drill("a", "a.db", "cron: '0 3 * * *'")])
        .await;
    // Three minutes ago, as it is written now.
    stage
        .keeps(&[drill("a", "a.db", "cron: '57 11 * * *'")])
        .await;
    pass(60).await;
    assert!(stage.fires("a").await.is_empty());
    // The same calendar once more keeps its place.
    stage
        .keeps(&[drill("a", "a.db", "cron: '2 12 * * *'")])
        .await;
    stage
        .keeps(&[drill("a", "a.db", "cron: '2 12 * * *', startWindow: 1s")])
        .await;
    pass(60).await;
    assert_eq!(stage.fires("a").await, ["12:02 started"]);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_takes_nothing_for_a_while_loses_nothing() {
    let stage = Stage::new(1, OPEN);
    stage.keeps(&[minutely("a")]).await;
    stage.runs.down.store(true, Ordering::SeqCst);
    pass(45).await;
    assert!(stage.fires("a").await.is_empty());
    stage.runs.down.store(false, Ordering::SeqCst);
    pass(10).await;
    assert_eq!(stage.fires("a").await, ["12:01 started"]);
}

#[tokio::test(start_paused = true)]
async fn two_services_on_one_history_run_nothing_twice() {
    let one = Stage::new(5, OPEN);
    let history = one.runs.history.clone();
    let other = Stage::on(history, BEGIN, 5, OPEN);
    let drills: Vec<_> = (0..20).map(|n| minutely(&format!("d{n}"))).collect();
    one.keeps(&drills).await;
    other.keeps(&drills).await;
    pass(150).await;
    let runs = one.began().len() + other.began().len();
    assert_eq!(runs, 40);
    for drill in &drills {
        let fires = one.fires(drill.name.as_str()).await;
        assert_eq!(fires, ["12:01 started", "12:02 started"]);
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_may_ask_for_a_run_once() {
    let stage = Stage::new(10, Limits { runs: 1, ..OPEN });
    stage
        .keeps(&[
            drill("a", "a.db", "cron: '@yearly'"),
            drill("b", "b.db", "cron: '@yearly'"),
        ])
        .await;
    let name = |text: &str| text.parse().unwrap();
    let run = stage.ask("a").await.unwrap();
    pass(1).await;
    let again = stage.ask("a").await;
    assert_eq!(
        again,
        Err(Refused::Running {
            drill: name("a"),
            run
        })
    );
    let waiting = stage.ask("b").await.unwrap();
    let again = stage.ask("b").await;
    assert_eq!(
        again,
        Err(Refused::Waiting {
            drill: name("b"),
            run: waiting
        })
    );
    assert_eq!(stage.ask("c").await, Err(Refused::Unknown(name("c"))));
    // What waits can be taken back, and what runs can be ended.
    assert!(stage.service.cancel(waiting).await.unwrap());
    assert!(stage.service.cancel(run).await.unwrap());
    pass(1).await;
    let ended = stage.runs.ended.lock().unwrap().clone();
    assert_eq!(ended.len(), 1);
    assert!(ended[0].2, "the run was not cancelled");
    assert!(!stage.service.cancel(run).await.unwrap());
    assert!(Arc::strong_count(&stage.runs) > 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_that_a_run_has_ended_may_ask_for_the_next() {
    let stage = Stage::new(10, OPEN);
    stage.keeps(&[drill("a", "a.db", "cron: '@yearly'")]).await;
    stage.runs.after.store(60, Ordering::SeqCst);
    let first = stage.ask("a").await.unwrap();
    pass(9).await;
    assert!(stage.ask("a").await.is_err());
    pass(2).await;
    let second = stage.ask("a").await.unwrap();
    assert_ne!(first, second);
    let drill = "a".parse().unwrap();
    let run = second;
    assert_eq!(stage.ask("a").await, Err(Refused::Waiting { drill, run }));
    // It begins once the one before has done all it had to do.
    pass(58).await;
    assert_eq!(stage.began(), ["a 12:00:30"]);
    pass(12).await;
    assert_eq!(stage.began(), ["a 12:00:30", "a 12:01:40"]);
}

#[tokio::test(start_paused = true)]
async fn a_fire_time_that_waits_for_room_outlives_its_service() {
    let one = Stage::new(3_600, Limits { runs: 1, ..OPEN });
    one.keeps(&[drill("a", "a.db", "cron: '@yearly'"), minutely("b")])
        .await;
    one.ask("a").await.unwrap();
    // One waits, and those after it are told to overlap with it.
    pass(155).await;
    assert_eq!(one.fires("b").await, ["12:02 overlap", "12:03 overlap"]);
    one.keeper.abort();
    let history = one.runs.history.clone();
    let other = Stage::on(history, "2026-05-01T12:03:20Z", 1, OPEN);
    other.keeps(&[minutely("b")]).await;
    pass(60).await;
    let fires = other.fires("b").await;
    let times: Vec<_> = fires.iter().map(|fire| &fire[..5]).collect();
    assert_eq!(times, ["12:01", "12:02", "12:03", "12:04"], "{fires:?}");
}

#[tokio::test(start_paused = true)]
async fn limits_hold_for_two_services_together() {
    let limits = Limits { runs: 1, ..OPEN };
    let one = Stage::new(20, limits);
    let history = one.runs.history.clone();
    let other = Stage::on(history, BEGIN, 20, limits);
    one.keeps(&[minutely("a")]).await;
    other.keeps(&[minutely("b")]).await;
    pass(120).await;
    let mut began = [one.began(), other.began()].concat();
    began.sort_by(|a, b| a[2..].cmp(&b[2..]));
    let second = |line: &String| {
        let parts: Vec<i64> = line[2..]
            .split(':')
            .map(|part| part.parse().unwrap())
            .collect();
        parts[0] * 3600 + parts[1] * 60 + parts[2]
    };
    assert!(began.len() >= 3, "{began:?}");
    for pair in began.windows(2) {
        assert!(second(&pair[1]) - second(&pair[0]) >= 20, "{began:?}");
    }
}
