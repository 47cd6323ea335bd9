//! Killed at any instant, it recovers: nothing is left, nothing is lost, and
//! the source is as it was. Runs the real binary.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::world::{Source, SqliteFile, World, entries, kill_after, killed, signal, text};

/// More instants than a run has.
const MOST_POINTS: u32 = 200;

fn small() -> World<SqliteFile> {
    World::new(SqliteFile::make)
}

/// Runs the drill until it is killed at `point`.
fn run_until<S: Source>(world: &World<S>, point: u32) -> Output {
    let mut run = world.run_drill();
    run.env("LIFEBOAT_TEST_KILL_AT", point.to_string());
    run.output().unwrap()
}

/// Kills a run at every `stride`th instant, until one comes through. Gives how
/// many instants there were, at least.
pub fn kill_at_points<S: Source>(world: &World<S>, stride: usize) -> u32 {
    let before = world.source.content();
    for (runs, point) in (1..=MOST_POINTS).step_by(stride).enumerate() {
        let output = run_until(world, point);
        world.is_clean(runs + 1);
        assert_eq!(world.source.content(), before, "the source was changed");
        if !killed(&output) {
            assert!(output.status.success(), "{}", text(&output));
            let verdicts: Vec<Value> = world.runs().iter().map(|r| r["verdict"].clone()).collect();
            assert!(verdicts.contains(&"inconclusive".into()), "{verdicts:?}");
            return point;
        }
    }
    panic!("a run has more than {MOST_POINTS} instants");
}

/// Kills a run at an instant and its recovery at every `stride`th one, until
/// a recovery comes through.
pub fn kill_recoveries<S: Source>(world: &World<S>, first: u32, stride: usize) {
    let before = world.source.content();
    for (runs, second) in (1..=MOST_POINTS).step_by(stride).enumerate() {
        let run = run_until(world, first);
        assert!(killed(&run), "{}", text(&run));
        let mut sweep = world.lifeboat(&["sweep"]);
        sweep.env("LIFEBOAT_TEST_KILL_AT", second.to_string());
        let sweep = sweep.output().unwrap();
        world.is_clean(runs + 1);
        if !killed(&sweep) {
            assert!(second > 3, "only {second} instants were seen");
            assert_eq!(world.source.content(), before, "the source was changed");
            return;
        }
    }
    panic!("a recovery has more than {MOST_POINTS} instants");
}

/// Kills that many runs, each at some instant of the time that one takes.
pub fn kill_at_random<S: Source>(world: &World<S>, count: u32) {
    let before = world.source.content();
    let begun = Instant::now();
    let whole = world.run_drill().output().unwrap();
    assert!(whole.status.success(), "{}", text(&whole));
    let longest = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for _ in 0..count {
        let mut child = world.run_drill().spawn().unwrap();
        kill_after(&mut child, Duration::from_micros(fastrand::u64(0..longest)));
        world.sweep();
        world.is_empty();
    }
    world.is_clean(world.runs().len());
    assert_eq!(world.source.content(), before, "the source was changed");
}

#[test]
fn killed_at_every_point_it_recovers() {
    assert!(kill_at_points(&small(), 1) > 30);
}

#[test]
fn killed_while_it_recovers_it_recovers() {
    for first in [8, 20] {
        kill_recoveries(&small(), first, 1);
    }
}

#[test]
fn two_drills_at_once_do_not_mind_each_other() {
    let world = small();
    let other = world.drill("other", "").display().to_string();
    let children = [world.run_drill(), world.lifeboat(&["run", &other])]
        .map(|mut command| command.spawn().unwrap());
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    world.is_clean(2);
}

#[test]
fn a_drill_that_is_running_is_not_run_again() {
    let world = small();
    world.drill("app", SLOW);
    let first = world.run_drill().spawn().unwrap();
    world.until_running();
    let second = world.run_drill().output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(
        text(&second).contains("drill app is already running"),
        "{}",
        text(&second)
    );
    signal(&first, Signal::SIGINT);
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(3));
    world.is_clean(1);
}

#[test]
fn ctrl_c_gives_everything_back() {
    let world = small();
    world.drill("app", SLOW);
    let child = world.run_drill().spawn().unwrap();
    world.until_running();
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert_eq!(entries(&world.path("state/scratch")), [""; 0]);
    assert_eq!(world.runs()[0]["failure"]["kind"], "cancelled");
    world.is_clean(1);
}

/// A check that does not end by itself.
pub const SLOW: &str = "  checks:\n    queries:\n    - { name: slow, expect: some rows, sql: \
    \"with recursive c(x) as (select 1 union all select x + 1 from c where x < 1e12) \
    select count(*) from c\" }\n";

#[test]
fn twenty_kills_at_random_leave_nothing() {
    kill_at_random(&small(), 20);
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn many_kills_at_random_leave_nothing() {
    kill_at_random(&small(), 700);
}
