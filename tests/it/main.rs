//! Integration tests: one binary, so that linking is paid once.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "tests start servers, look at the time, and fail by panicking"
)]

mod support;

mod history;
mod kill;
mod postgres_archive;
mod postgres_capture;
mod postgres_checks;
mod postgres_fingerprint;
mod postgres_inventory;
mod postgres_restore;
mod postgres_smoke;
mod report;
mod s3_bucket;
mod s3_faults;
mod sandbox;
mod spec;
mod sqlite_drill;
mod sqlite_random;
