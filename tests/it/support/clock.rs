//! The wall clocks of services, which tests set.

use super::{
    served::put,
    world::{Source, World},
};

/// The variable of the environment by which a service has the clock of that number.
pub fn of<S: Source>(world: &World<S>, number: usize) -> (&'static str, String) {
    let file = world.path(&name(number));
    ("LIFEBOAT_TEST_CLOCK", file.display().to_string())
}

/// Sets a clock so many seconds ahead, or behind.
pub fn set<S: Source>(world: &World<S>, number: usize, seconds: i64) {
    put(&world.path(""), &name(number), &seconds.to_string());
}

fn name(number: usize) -> String {
    format!("clock-{number}")
}
