//! Child processes: always with an argument vector, a clean environment, the
//! run's label, a process group of their own, and an end.

pub mod account;
pub mod fence;
pub mod label;
mod launch;
pub mod owner;
pub mod tail;

pub use launch::{
    Account, Confinement, Finished, KILLED, LABEL_VARIABLE, Launch, Launcher, Running, killed,
    signal_group,
};
