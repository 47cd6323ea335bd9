//! Killed at any instant, a drill of PostgreSQL recovers, too: no server, no
//! client and no session at the source is left.

use std::io::{BufRead, BufReader};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    failures::sleepy,
    kill::{kill_at_points, kill_at_random, kill_recoveries},
    support::{
        database::Database,
        world::{World, signal},
    },
};

/// Instants at which a server starts, is loaded, and is given back.
const BUSY: [u32; 3] = [19, 24, 46];

fn small() -> World<Database> {
    World::new(|_| Database::small())
}

#[test]
fn killed_at_some_points_it_recovers() {
    assert!(kill_at_points(&small(), 5) > 30);
}

#[test]
fn killed_while_it_recovers_it_recovers() {
    kill_recoveries(&small(), BUSY[1], 4);
}

/// The server does not heed the request to end, so giving everything back takes
/// long enough for a second Ctrl-C.
#[test]
fn the_second_ctrl_c_stops_at_once_and_a_sweep_cleans_up() {
    let world = sleepy();
    let mut run = world.run_drill().spawn().unwrap();
    let server = Pid::from_raw(world.until_copy_sleeps().server);
    kill(server, Signal::SIGSTOP).unwrap();
    let mut told = BufReader::new(run.stderr.take().unwrap()).lines();
    let mut until_told = |words: &str| {
        let mut lines = told.by_ref().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(words)), "{words}");
    };
    signal(&run, Signal::SIGINT);
    until_told("giving everything back; once more to stop at once");
    signal(&run, Signal::SIGINT);
    until_told("the next start or `lifeboat sweep` cleans up");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(world.scratch().len(), 2, "it was to leave everything");
    world.is_clean(1);
    assert_eq!(world.runs()[0]["verdict"], "inconclusive");
}

#[test]
fn some_kills_at_random_leave_nothing() {
    kill_at_random(&small(), 5);
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn killed_at_every_point_it_recovers() {
    assert!(kill_at_points(&small(), 1) > 30);
    for first in BUSY {
        kill_recoveries(&small(), first, 1);
    }
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn many_kills_at_random_leave_nothing() {
    kill_at_random(&small(), 300);
}
