//! Integration tests: one binary, so that linking is paid once.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "tests start servers, look at the time, and fail by panicking"
)]

mod support;

mod alerts;
mod away;
mod binary;
mod check;
mod cli;
mod compose;
mod config;
mod counting;
mod demo;
mod detection;
mod due;
mod failures;
mod fence;
mod follow;
mod full_disk;
mod hints;
mod history;
mod kill;
mod kill_postgres;
mod kubernetes_budget;
mod kubernetes_drill;
mod kubernetes_existing;
mod kubernetes_faults;
mod kubernetes_fence;
mod kubernetes_kill;
mod kubernetes_over;
mod kubernetes_races;
mod kubernetes_registry;
mod kubernetes_requests;
mod kubernetes_rights;
mod kubernetes_storage;
mod kubernetes_takeup;
mod kubernetes_watches;
mod lists;
mod metrics;
mod notify;
mod openapi;
mod overlaps;
mod postgres_archive;
mod postgres_capture;
mod postgres_checks;
mod postgres_fingerprint;
mod postgres_inventory;
mod postgres_restore;
mod postgres_smoke;
mod postgres_versions;
mod random;
mod repeat;
mod replicas;
mod report;
mod retention;
mod s3_bucket;
mod s3_drill;
mod s3_faults;
mod samples;
mod sandbox;
mod schedule;
mod scopes;
mod scraped;
mod serve;
mod service;
mod several;
mod spec;
mod sqlite_drill;
mod sqlite_random;
mod sqlite_schemas;
mod stopping;
mod sweep;
mod takeover;
mod tls;
mod upgrade;
