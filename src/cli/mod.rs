//! The command line.

mod line;
pub mod log;
pub mod progress;
mod relay;
