//! Runs as traces: what is made of a record, and what a real collector is told
//! by the real binary.
//!
//! A binary of its own, with the feature: so little more has to be built.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests start programs, look at the time, and fail by panicking"
)]

mod support;

mod export;
mod spans;
mod trouble;
