//! Integration tests: one binary, so that linking is paid once.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start servers and look at the time"
)]

mod support;

mod postgres_smoke;
mod sqlite_drill;
mod sqlite_random;
