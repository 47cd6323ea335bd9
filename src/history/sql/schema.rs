//! Which programs may use a schema that is newer than they know.
//!
//! Changes only add, so those of the version before may: while the new version
//! is brought out, and when it is taken back. Where a change is more than that,
//! the history says which schema a program has to know.

use sqlx::{ColumnIndex, Database, Decode, Executor, IntoArguments, Pool, Type, migrate::Migrator};

/// The newest change that this program knows.
pub(super) const KNOWN: i64 = 26;

/// Lets migrations be there that this program does not know, where the history
/// allows it. Otherwise it refuses to use that history.
pub(super) async fn accept_newer<DB>(pool: &Pool<DB>, migrations: &mut Migrator)
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c Pool<DB>: Executor<'c, Database = DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    let newest = migrations.iter().map(|one| one.version).max();
    let sql = "SELECT max(known) FROM schema_needs";
    let asked = sqlx::query_scalar(sql).fetch_one(pool).await;
    // An older history has no such table. What else may be wrong is said by what
    // comes next.
    let needs: Option<i64> = asked.ok();
    migrations.set_ignore_missing(needs.is_some() && needs <= newest);
}

#[cfg(test)]
mod tests {
    use super::KNOWN;

    #[test]
    fn the_newest_change_is_known() {
        let newest = |all: sqlx::migrate::Migrator| all.iter().map(|one| one.version).max();
        assert_eq!(newest(sqlx::migrate!("migrations/sqlite")), Some(KNOWN));
        assert_eq!(newest(sqlx::migrate!("migrations/postgresql")), Some(KNOWN));
    }
}
