//! A process that sleeps while its run is taken over wakes up, writes nothing
//! more and leaves nothing. Runs the real binary.

use std::{
    path::Path,
    process::{Child, Output},
    sync::Arc,
};

use lifeboat::{
    clock::SystemClock,
    domain::{record::RunRecord, verdict::Cleanup},
    history::sql::SqlHistory,
    process::{account, owner::Identity},
    runner::{
        execute::Runner,
        hook::NoHook,
        store::{Gone, Owner},
    },
    sandbox::local::LocalSandbox,
};
use nix::sys::signal::Signal;

use crate::support::{
    database::{Database, QUIET},
    until,
    world::{Source, SqliteFile, World, entries, signal, text},
};

fn sleeps(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
    let stat = stat.unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('T'))
}

/// Takes over whatever is unfinished, as a process does that holds the
/// owner for gone.
async fn take_over<S: Source>(world: &World<S>, shared: bool) -> Vec<RunRecord> {
    let history = SqlHistory::in_file(&world.path("state/history.db")).await;
    let here = Identity::current().unwrap();
    let account = account::unprivileged(None).unwrap();
    let runner = Runner {
        store: Arc::new(history.unwrap()),
        sandbox: Arc::new(LocalSandbox::new(world.path("state/scratch"), account)),
        clock: Arc::new(SystemClock::new()),
        hook: Arc::new(NoHook),
        shared,
        owner: Owner {
            host: "elsewhere".to_owned(),
            boot: here.boot,
            pid: here.pid,
            start_ticks: here.start_ticks,
            service: false,
        },
    };
    runner.recover(|_| Some(Gone::Seen), &[]).await.unwrap()
}

/// All that the history holds.
fn written(history: &Path) -> Vec<String> {
    let history = rusqlite::Connection::open(history).unwrap();
    let mut all = Vec::new();
    for sql in [
        "select id || coalesce(verdict, '') || epoch || owner || record || hex(coalesce(packed, '')) \
         from runs order by id",
        "select run_id || sequence || at || entry from journal order by run_id, sequence",
        "select run_id || acquired || resource || coalesce(released_at, '') from ledger \
         order by run_id, acquired",
    ] {
        let mut statement = history.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}

/// Wakes a process whose run was taken over, and waits for its end.
fn wake<S: Source>(world: &World<S>, sleeper: Child) -> Output {
    let history = world.path("state/history.db");
    let before = written(&history);
    signal(&sleeper, Signal::SIGCONT);
    let output = sleeper.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let told = text(&output);
    assert!(told.contains("was taken over by another process"), "{told}");
    assert!(told.contains("hint: "), "{told}");
    assert_eq!(written(&history), before, "the sleeper wrote");
    assert_eq!(entries(&world.path("state/reports")), [""; 0]);
    world.is_empty();
    output
}

/// Lets runs sleep at every `stride`th instant, takes them over and wakes them,
/// until one comes through.
async fn sleep_at_points<S: Source>(world: &World<S>, stride: usize) {
    const MOST_POINTS: u32 = 200;
    for point in (1..=MOST_POINTS).step_by(stride) {
        let mut run = world.run_drill();
        run.env("LIFEBOAT_TEST_STOP_AT", point.to_string());
        let mut child = run.spawn().unwrap();
        let mut ended = false;
        until("the run sleeps or ends", || {
            ended = child.try_wait().unwrap().is_some();
            ended || sleeps(&child)
        });
        if ended {
            assert!(point > 30, "only {point} instants were seen");
            return;
        }
        let taken = take_over(world, false).await;
        if let [record] = &taken[..] {
            assert_eq!(record.cleanup, Cleanup::Clean);
            wake(world, child);
        } else {
            // Its very last line was written.
            assert!(point > 30 && taken.is_empty(), "{taken:#?}");
            signal(&child, Signal::SIGCONT);
            assert!(child.wait().unwrap().success());
        }
    }
    panic!("a run has more than {MOST_POINTS} instants");
}

#[tokio::test(flavor = "multi_thread")]
async fn asleep_at_any_point_of_a_run_that_is_taken_over() {
    sleep_at_points(&World::new(SqliteFile::make), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asleep_at_points_of_a_postgresql_run_that_is_taken_over() {
    sleep_at_points(&World::new(|_| Database::small()), 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asleep_in_a_dump_that_is_taken_over() {
    let world = World::new(|_| Database::filled(&QUIET, "create table t as select 1 as id"));
    let (lock, run) = world.run_until_dump_waits();
    signal(&run, Signal::SIGSTOP);
    until("the run sleeps", || sleeps(&run));
    let taken = take_over(&world, false).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(world.processes_of("pg_dump"), [0; 0]);
    drop(lock);
    wake(&world, run);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_another_machine_is_not_called_clean() {
    let world = World::new(SqliteFile::make);
    let mut run = world.run_drill();
    // Its directory has been made.
    run.env("LIFEBOAT_TEST_KILL_AT", "12");
    run.output().unwrap();
    let taken = take_over(&world, true).await;
    let [record] = &taken[..] else {
        panic!("no run was taken over");
    };
    let host = Identity::current().unwrap().host;
    assert_eq!(record.cleanup, Cleanup::Elsewhere { host });
    assert!(record.finished_at.is_some());
    assert_eq!(take_over(&world, true).await, []);
}
