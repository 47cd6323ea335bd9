//! Drills in a real Kubernetes cluster: the one that `LIFEBOAT_TEST_CLUSTER`
//! names by a kubeconfig. Without it nothing is tested, and that is said.
//!
//! Every test has a namespace of its own for its source. `.ci/cluster` brings
//! a cluster up, puts the images there and runs these; its head says how to run
//! them on any other.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests start programs, look at the time, say what is untested, and fail by panicking"
)]

#[path = "../it/support/asking.rs"]
mod asking;
mod support;

mod admission;
mod buckets;
mod disruption;
mod dumps;
mod events;
mod faults;
mod fence;
mod musl;
mod place;
mod reactions;
mod rights;
mod service;
mod snapshots;
mod speed;
mod takeup;
