//! The command line.

pub mod args;
pub mod commands;
pub mod exit;
pub mod output;
