//! Fingerprints: what a table held at the cut, in a few numbers.
//!
//! Every row gets a 64-bit hash `h`; a table's digest is the *sum* of them
//! (not the xor, in which two equal rows vanish) beside the number of rows.
//! So it does not depend on row order or physical layout.
//!
//! A second sum weighs the low 31 bits of `h` with 32 bits of the row's key.
//! When exactly one row differs, the two sums are two equations with two
//! unknowns, and the key of that row falls out: see [`locate`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The fingerprint of a whole database at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Names the hash and its input; only equal algorithms can be compared.
    pub algorithm: String,
    /// By qualified name, as the engine quotes it.
    pub tables: BTreeMap<String, TableFingerprint>,
    /// What the engine holds beside tables and that counts as data, such as
    /// large objects: same numbers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, TableFingerprint>,
    /// Sequences by qualified name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sequences: BTreeMap<String, SequenceBounds>,
    /// What could not be fingerprinted, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untested: BTreeMap<String, String>,
}

/// The fingerprint of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFingerprint {
    pub rows: u64,
    /// Sum of the row hashes.
    #[serde(with = "decimal")]
    pub sum: i128,
    /// Sum of `(h & 0x7fff_ffff) * k`, where the table has a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
    /// The engine's expression for `h`, where that follows from the table's
    /// definition at the cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_hash: Option<String>,
}

/// The sum that allows a single differing row to be located.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    #[serde(with = "decimal")]
    pub sum: i128,
    /// The engine's expression for `k`, 0 to 2^32 - 1, in terms of the key.
    pub key: String,
}

/// A sequence is not part of a snapshot: it was at least at `low` when the
/// recovery point was cut and at most at `high` when it was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceBounds {
    pub low: i64,
    pub high: i64,
    /// Whether it counts downwards; `low` and `high` are swapped then.
    pub descending: bool,
}

/// One table whose content differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum Difference {
    /// It is in the source and not in the copy.
    Missing { rows: u64 },
    /// It is in the copy and not in the source.
    Extra { rows: u64 },
    /// The content is not the same.
    Changed {
        source_rows: u64,
        copy_rows: u64,
        /// The key value `k` of the one row that explains the difference.
        located: Option<u32>,
    },
    /// A sequence stands outside its bounds.
    Sequence { low: i64, high: i64, copy: i64 },
}

/// Compares the source's fingerprint with the copy's; equal means an empty
/// map. The copy's sequences have `low == high`.
#[must_use]
pub fn compare(source: &Fingerprint, copy: &Fingerprint) -> BTreeMap<String, Difference> {
    let mut differences = BTreeMap::new();
    for (ours, theirs) in [
        (&source.tables, &copy.tables),
        (&source.objects, &copy.objects),
    ] {
        compare_tables(ours, theirs, &mut differences);
    }
    for (name, bounds) in &source.sequences {
        // A sequence that is missing altogether is the schema check's finding.
        if let Some(copy) = copy.sequences.get(name)
            && !(bounds.low..=bounds.high).contains(&copy.low)
        {
            let difference = Difference::Sequence {
                low: bounds.low,
                high: bounds.high,
                copy: copy.low,
            };
            differences.insert(name.clone(), difference);
        }
    }
    differences
}

fn compare_tables(
    source: &BTreeMap<String, TableFingerprint>,
    copy: &BTreeMap<String, TableFingerprint>,
    differences: &mut BTreeMap<String, Difference>,
) {
    for (name, ours) in source {
        let difference = match copy.get(name) {
            None => Difference::Missing { rows: ours.rows },
            Some(theirs) if (ours.rows, ours.sum) == (theirs.rows, theirs.sum) => continue,
            Some(theirs) => Difference::Changed {
                source_rows: ours.rows,
                copy_rows: theirs.rows,
                located: locate(ours, theirs),
            },
        };
        differences.insert(name.clone(), difference);
    }
    for (name, theirs) in copy {
        if !source.contains_key(name) {
            differences.insert(name.clone(), Difference::Extra { rows: theirs.rows });
        }
    }
}

const LOW_31_BITS: i128 = 0x7fff_ffff;

/// Finds `k` of the one row that explains the difference between two digests.
///
/// If a single row changed, was lost or was added, then with `d` the change of
/// its hash's low 31 bits the plain sums differ by `d` modulo 2^31, which
/// leaves two candidates for `d`, and the weighted sums differ by `d * k`. `None` where no candidate gives a whole `k`
/// in range, that is, where more than one row differs (or by a chance of
/// about one in 2^30: so a located key is a lead, to be looked up).
#[must_use]
pub fn locate(source: &TableFingerprint, copy: &TableFingerprint) -> Option<u32> {
    let (ours, theirs) = (source.weighted.as_ref()?, copy.weighted.as_ref()?);
    if ours.key != theirs.key || source.rows.abs_diff(copy.rows) > 1 {
        return None;
    }
    let low = (copy.sum - source.sum).rem_euclid(LOW_31_BITS + 1);
    let weighted = theirs.sum - ours.sum;
    [low, low - LOW_31_BITS - 1]
        .into_iter()
        .filter(|d| *d != 0 && weighted % d == 0)
        .find_map(|d| u32::try_from(weighted / d).ok())
}

/// Whole numbers beyond 64 bits as decimal strings: JSON readers lose them.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &i128, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(rows: &BTreeMap<u32, i64>) -> TableFingerprint {
        TableFingerprint {
            rows: rows.len() as u64,
            sum: rows.values().map(|h| i128::from(*h)).sum(),
            weighted: Some(Weighted {
                sum: rows
                    .iter()
                    .map(|(k, h)| (i128::from(*h) & LOW_31_BITS) * i128::from(*k))
                    .sum(),
                key: "id".to_owned(),
            }),
            row_hash: None,
        }
    }

    fn fingerprint(table: TableFingerprint) -> Fingerprint {
        Fingerprint {
            tables: BTreeMap::from([("t".to_owned(), table)]),
            ..Fingerprint::default()
        }
    }

    proptest! {
        #[test]
        fn one_changed_row_is_located(
            rows in prop::collection::btree_map(any::<u32>(), any::<i64>(), 1..200),
            pick in any::<prop::sample::Index>(),
            new in any::<i64>(),
        ) {
            let keys: Vec<u32> = rows.keys().copied().collect();
            let key = keys[pick.index(keys.len())];
            let mut changed = rows.clone();
            changed.insert(key, new);
            // Hashes that agree in the low 31 bits cannot be located.
            prop_assume!((rows[&key] ^ new) & 0x7fff_ffff != 0);
            prop_assert_eq!(locate(&digest(&rows), &digest(&changed)), Some(key));
        }

        #[test]
        fn one_lost_row_is_located(
            rows in prop::collection::btree_map(any::<u32>(), any::<i64>(), 1..200),
            pick in any::<prop::sample::Index>(),
        ) {
            let keys: Vec<u32> = rows.keys().copied().collect();
            let key = keys[pick.index(keys.len())];
            let mut changed = rows.clone();
            let lost = changed.remove(&key).unwrap();
            prop_assume!(lost & 0x7fff_ffff != 0);
            prop_assert_eq!(locate(&digest(&rows), &digest(&changed)), Some(key));
        }
    }

    #[test]
    fn equal_rows_do_not_cancel_out() {
        let twice = TableFingerprint {
            rows: 2,
            sum: 2 * 77,
            weighted: None,
            row_hash: None,
        };
        let other = TableFingerprint {
            rows: 2,
            sum: 2 * 78,
            weighted: None,
            row_hash: None,
        };
        assert_eq!(
            compare(&fingerprint(twice.clone()), &fingerprint(other)).len(),
            1
        );
        assert!(compare(&fingerprint(twice.clone()), &fingerprint(twice)).is_empty());
    }

    #[test]
    fn sums_survive_json() {
        let table = TableFingerprint {
            rows: 1,
            sum: i128::MIN,
            weighted: None,
            row_hash: None,
        };
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(
            serde_json::from_str::<TableFingerprint>(&json).unwrap(),
            table
        );
    }

    #[test]
    fn a_sequence_may_move_between_cut_and_completion_only() {
        let with = |low, high| Fingerprint {
            sequences: BTreeMap::from([(
                "s".to_owned(),
                SequenceBounds {
                    low,
                    high,
                    descending: false,
                },
            )]),
            ..Fingerprint::default()
        };
        assert!(compare(&with(10, 20), &with(15, 15)).is_empty());
        assert_eq!(compare(&with(10, 20), &with(9, 9)).len(), 1);
        assert_eq!(compare(&with(10, 20), &with(21, 21)).len(), 1);
    }
}
