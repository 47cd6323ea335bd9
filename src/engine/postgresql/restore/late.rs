//! What a parallel load has to leave for the end.
//!
//! `pg_restore` lets a foreign key wait for the rows of its table. A partitioned
//! table has none of its own, so its foreign key waits for nothing, and may be
//! there before the rows of the partitions. Each row is then looked up while it
//! is loaded, as the owner of the table that is referred to: slowly, and in
//! vain where that owner may not use a schema, for rights are restored last. An
//! emergency may have better luck than a drill or worse; so these come last.

use std::collections::BTreeSet;

use crate::engine::postgresql::archive::header::Entry;

/// Foreign keys of partitioned tables, and what is said of them.
pub(super) fn of(entries: &[Entry]) -> BTreeSet<i64> {
    let partitioned: BTreeSet<i64> = entries
        .iter()
        .filter(|entry| entry.kind == "TABLE" && !entry.ordinary)
        .map(|entry| entry.id)
        .collect();
    let keys = entries.iter().filter(|entry| {
        entry.kind == "FK CONSTRAINT" && entry.depends_on.iter().any(|id| partitioned.contains(id))
    });
    let mut late: BTreeSet<i64> = keys.map(|entry| entry.id).collect();
    let comments: Vec<i64> = entries
        .iter()
        .filter(|entry| entry.depends_on.iter().any(|id| late.contains(id)))
        .map(|entry| entry.id)
        .collect();
    late.extend(comments);
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, kind: &str, depends_on: &[i64]) -> Entry {
        Entry {
            id,
            kind: kind.to_owned(),
            depends_on: depends_on.to_vec(),
            ..Entry::default()
        }
    }

    #[test]
    fn only_keys_of_partitioned_tables_wait_with_their_comments() {
        let table = Entry {
            ordinary: true,
            ..entry(1, "TABLE", &[])
        };
        let entries = [
            table,
            entry(2, "TABLE", &[]),
            entry(3, "TABLE DATA", &[1]),
            entry(4, "FK CONSTRAINT", &[1]),
            entry(5, "FK CONSTRAINT", &[1, 2]),
            entry(6, "COMMENT", &[5]),
            entry(7, "COMMENT", &[4]),
            entry(8, "INDEX", &[2]),
        ];
        assert_eq!(of(&entries), [5, 6].into());
    }
}
