//! Bounds of sequences: they move on outside of any snapshot.

use std::collections::BTreeMap;

use crate::{
    domain::{failure::Failure, fingerprint::Fingerprint},
    engine::postgresql::session::Session,
};

/// Where each sequence stood, by its name as the server quotes it.
pub(in crate::engine::postgresql) type Positions = BTreeMap<String, i64>;

/// `last_value` is null for a sequence that was never used; a dump then sets
/// it to its start.
const POSITIONS: &str = "\
    select format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value) \
    from pg_catalog.pg_sequences";

/// Reads them all.
pub(in crate::engine::postgresql) async fn positions(
    session: &Session,
) -> Result<Positions, Failure> {
    let rows = session.rows("read the sequences", POSITIONS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Widens the bounds of the fingerprint's sequences to where they were seen.
/// The dump reads a sequence at some instant between the cut and its end, so
/// where they stood before it began and after it ended has to be within.
pub(in crate::engine::postgresql) fn widen(fingerprint: &mut Fingerprint, seen: &Positions) {
    for (name, bounds) in &mut fingerprint.sequences {
        if let Some(&value) = seen.get(name) {
            bounds.low = bounds.low.min(value);
            bounds.high = bounds.high.max(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fingerprint::SequenceBounds;

    #[test]
    fn bounds_hold_every_value_that_was_seen() {
        let bounds = SequenceBounds {
            low: 5,
            high: 5,
            descending: false,
        };
        let mut fingerprint = Fingerprint::default();
        fingerprint.sequences.insert("public.s".into(), bounds);
        for value in [4, 9, 7] {
            widen(&mut fingerprint, &[("public.s".to_owned(), value)].into());
        }
        let after = fingerprint.sequences["public.s"];
        assert_eq!((after.low, after.high), (4, 9));
    }
}
