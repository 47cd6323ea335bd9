//! Lifeboat proves that backups can be restored.
//!
//! Layers, lowest first. A module uses only what is below it; adapters never
//! see each other. `tests/layers.rs` keeps it so.
//!
//! ```text
//! L0  clock  domain  schedule  spec
//! L1  secret  trust  process  k8s  workload  engine  recovery  sandbox
//! L2  agent  remote  runner
//! L3  catalog  history  metrics  notify  service  sweeper  traces
//! L4  api  report
//! L5  app  cli  demo
//! ```

pub mod clock;
pub mod domain;
pub mod schedule;
pub mod spec;

pub mod engine;
pub mod k8s;
pub mod process;
pub mod recovery;
pub mod sandbox;
pub mod secret;
pub mod trust;
pub mod workload;

pub mod agent;
pub mod remote;
pub mod runner;

pub mod catalog;
pub mod history;
pub mod metrics;
pub mod notify;
pub mod service;
pub mod sweeper;
pub mod traces;

pub mod api;
pub mod report;

pub mod app;
pub mod cli;
pub mod demo;
