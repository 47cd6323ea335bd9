//! The command line.

pub mod args;
pub mod commands;
pub mod config;
pub mod exit;
pub mod line;
pub mod log;
pub mod logging;
pub mod output;
pub mod progress;
pub mod relay;
pub mod screen;
