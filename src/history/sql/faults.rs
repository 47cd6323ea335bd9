//! What goes wrong with a database.

use sqlx::{error::DatabaseError, migrate::MigrateError, postgres::PgDatabaseError};

use crate::runner::store::StoreError;

/// The primary part of SQLite's result codes.
const FULL: u32 = 13;

pub(super) fn backend(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match error {
        sqlx::Error::Database(told) => of_database(doing, &*told),
        error => {
            let passing = matches!(
                error,
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed
            );
            let source = Box::new(error);
            if passing {
                StoreError::Unreachable { doing, source }
            } else {
                StoreError::Backend { doing, source }
            }
        }
    }
}

fn of_database(doing: &'static str, told: &dyn DatabaseError) -> StoreError {
    let source = told.message().into();
    let code = told.code().unwrap_or_default();
    if told.try_downcast_ref::<PgDatabaseError>().is_some() {
        return match &*code {
            "53100" => StoreError::Full { doing },
            code if passes(code) => StoreError::Unreachable { doing, source },
            _ => StoreError::Backend { doing, source },
        };
    }
    let code = code.parse::<u32>();
    if code.is_ok_and(|code| code & 0xff == FULL) {
        return StoreError::Full { doing };
    }
    StoreError::Backend { doing, source }
}

/// Whether PostgreSQL may do it when it is asked again: it stops or starts, has
/// no connection left, or another transaction came in between.
///
/// Source: PostgreSQL manual, appendix "Error Codes".
fn passes(code: &str) -> bool {
    const UNIQUE: &str = "23505";
    matches!(
        code,
        UNIQUE | "25P03" | "40001" | "40P01" | "53300" | "57P01" | "57P02" | "57P03" | "25006"
    ) || code.starts_with("08")
}

pub(super) fn migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => StoreError::Foreign {
            source: Box::new(error),
        },
        error => StoreError::Backend {
            doing: "brought up to date",
            source: Box::new(error),
        },
    }
}

pub(super) fn json(doing: &'static str) -> impl Fn(serde_json::Error) -> StoreError {
    move |error| StoreError::Backend {
        doing,
        source: Box::new(error),
    }
}
