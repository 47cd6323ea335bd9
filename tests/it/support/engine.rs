//! The PostgreSQL engine as most tests want it: no source, no checks, no fence.

use std::collections::BTreeMap;

use lifeboat::{
    domain::{ids::RunId, record::Profile},
    engine::postgresql::PostgresEngine,
    process::Launcher,
    spec::drill::{Checks, Integrity, LocalSandbox, PostgresqlWorkload},
};

/// Nothing is checked.
pub fn no_checks() -> Checks {
    Checks {
        fingerprints: None,
        schema: false,
        integrity: Integrity::Off,
        environment: false,
        row_counts: Vec::new(),
        queries: Vec::new(),
        newest_write: None,
        exclude_tables: Vec::new(),
        tolerate: Vec::new(),
    }
}

/// An engine to change as a test needs it.
pub fn postgres(run: RunId) -> PostgresEngine {
    PostgresEngine {
        workload: PostgresqlWorkload {
            connection: None,
            tools: Vec::new(),
            kubernetes: None,
        },
        fresh: None,
        existing: None,
        canary: None,
        checks: no_checks(),
        sandbox: LocalSandbox {
            directory: None,
            restore_jobs: 2,
            verify_jobs: 2,
            settings: BTreeMap::new(),
            version: None,
            allow_unfenced: true,
        },
        profile: Profile::Production,
        launcher: Launcher {
            allow_unfenced: true,
            run,
            helper: None,
            account: None,
        },
        attached: None,
    }
}
