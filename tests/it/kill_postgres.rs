//! Killed at any instant, a drill of PostgreSQL recovers, too: no server, no
//! client and no session at the source is left.

use crate::{
    kill::{kill_at_points, kill_at_random, kill_recoveries},
    support::{database::Database, world::World},
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
