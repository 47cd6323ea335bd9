//! The SQL that hashes a row.
//!
//! The hash functions take a seed and are strict. Columns that cannot be null
//! are chained: the hash of one is the seed of the next. A null would wipe out
//! the chain, so each nullable column is hashed by itself, a null standing for
//! a constant, and these hashes are xored into the first seed. What comes out
//! depends on every value and on the column it is in.
//!
//! Every column has a seed of its own that looks like chance. With small
//! numbers as seeds, `(1, 2)` and `(4, 7)` in two columns could give the same:
//! a bigint goes into its hash xored with the seed.

use super::{Column, Equality, Kind, Table};

/// The alias of the table in the generated SQL.
const ALIAS: &str = "t";

/// The hash of a row of `table`.
pub(super) fn row_hash(table: &Table, equality: Equality) -> String {
    let columns: Vec<&Column> = table.columns.iter().collect();
    hash_of(&columns, equality)
}

/// 32 bits of the primary key: of a whole number its own, else of a hash.
pub(super) fn key(table: &Table) -> Option<String> {
    let columns: Vec<&Column> = table
        .key
        .iter()
        .filter_map(|name| table.columns.iter().find(|column| column.name == *name))
        .collect();
    let value = match columns.as_slice() {
        [] => return None,
        [only] if is_whole(only.kind) => format!("{}::int8", reference(only)),
        several => hash_of(several, Equality::Typed),
    };
    Some(format!("({value} & 4294967295)"))
}

/// Whether the key's 32 bits are those of the key itself.
fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8)
}

/// A constant for the column at `place` (from 0) that looks like chance: the
/// output of the generator `SplitMix64` for that seed.
fn constant(place: usize) -> i64 {
    let mut z = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Without its sign, so that it needs no brackets.
    ((z ^ (z >> 31)) >> 1).cast_signed()
}

fn hash_of(columns: &[&Column], equality: Equality) -> String {
    let nullable = columns.iter().enumerate().filter(|(_, c)| !c.not_null);
    let leaves: Vec<String> = nullable
        .map(|(place, column)| {
            let seed = constant(2 * place);
            let hash = value_hash(column, &seed.to_string(), equality);
            format!("coalesce({hash}, {})", constant(2 * place + 1))
        })
        .collect();
    let first = if leaves.is_empty() {
        "0::int8".to_owned()
    } else {
        leaves.join(" # ")
    };
    let mut not_null = columns.iter().filter(|column| column.not_null).peekable();
    // Without a last step the sum over all rows would be one of single
    // columns, and values that change places between rows would go unnoticed.
    if not_null.peek().is_none() {
        return format!("hashint4extended(0, {first})");
    }
    not_null.fold(first, |seed, column| value_hash(column, &seed, equality))
}

fn value_hash(column: &Column, seed: &str, equality: Equality) -> String {
    let value = reference(column);
    match (column.kind, equality) {
        (_, Equality::Text) => by_text(&value, seed),
        // Knows no sign of a number, no digits behind it, no nesting of arrays.
        (Kind::Jsonb, Equality::Fast) => format!("jsonb_hash_extended({value}, {seed})"),
        (kind, _) => typed(kind, &value, seed),
    }
}

fn by_text(value: &str, seed: &str) -> String {
    format!("hashtextextended({value}::text collate \"C\", {seed})")
}

fn typed(kind: Kind, value: &str, seed: &str) -> String {
    match kind {
        Kind::Bool => format!("hashint4extended({value}::int4, {seed})"),
        Kind::Int2 => format!("hashint2extended({value}, {seed})"),
        Kind::Int4 => format!("hashint4extended({value}, {seed})"),
        // hashint8extended folds its value to 32 bits, a seed keeps all 64.
        Kind::Int8 => format!("hashint4extended(8, {value} # ({seed}))"),
        Kind::Oid => format!("hashoidextended({value}, {seed})"),
        Kind::Float4 => format!(
            "hashfloat4extended({}, {seed})",
            signed_zero(value, "float4", "1e-45")
        ),
        Kind::Float8 => format!(
            "hashfloat8extended({}, {seed})",
            signed_zero(value, "float8", "5e-324")
        ),
        Kind::Text => format!("hashtextextended({value} collate \"C\", {seed})"),
        // Blanks at the end are not hashed. Where the length is fixed they
        // follow from it.
        Kind::FixedText => format!("hashbpcharextended({value} collate \"C\", {seed})"),
        Kind::PaddedText => format!(
            "hashint4extended(octet_length({value}), hashbpcharextended({value} collate \"C\", {seed}))"
        ),
        Kind::Uuid => format!("uuid_hash_extended({value}, {seed})"),
        // Infinite dates cannot be subtracted from.
        Kind::Date => format!(
            "hashint4extended(case when isfinite({value}) then {value} - date '2000-01-01' \
             when {value} > date '2000-01-01' then 2147483647 when {value} < date '2000-01-01' \
             then -2147483647 end, {seed})"
        ),
        Kind::Time => format!("time_hash_extended({value}, {seed})"),
        Kind::Timestamp => format!("timestamp_hash_extended({value}, {seed})"),
        // The session's time zone is pinned to UTC.
        Kind::Timestamptz => format!("timestamp_hash_extended({value}::timestamp, {seed})"),
        Kind::Bytea => format!("hash_array_extended(array[{value}], {seed})"),
        // The hash of a number knows neither its sign nor its scale, and is no
        // faster; jsonb hashes the numbers in it in the same way.
        Kind::Numeric | Kind::Jsonb | Kind::Other => by_text(value, seed),
    }
}

/// Zero and minus zero have one hash: minus zero gives way to the smallest
/// number there is.
fn signed_zero(value: &str, of_type: &str, smallest: &str) -> String {
    format!(
        "case when {value} = 0 then case when {value}::text = '-0' then '{smallest}'::{of_type} \
         else '0'::{of_type} end else {value} end"
    )
}

fn reference(column: &Column) -> String {
    format!("{ALIAS}.{}", column.name)
}

/// Reads count, sum and, with `key`, the weighted sum of all rows, or of those
/// in a range of blocks. `offset 0` keeps the planner from computing the hash
/// twice.
pub(super) fn statement(
    table: &str,
    hash: &str,
    key: Option<&str>,
    blocks: Option<(u64, u64)>,
) -> String {
    let range = blocks.map_or_else(String::new, |(from, to)| {
        format!(" where {ALIAS}.ctid >= '({from},0)'::tid and {ALIAS}.ctid < '({to},0)'::tid")
    });
    let from = format!("from only {table} {ALIAS}{range}");
    match key {
        None => format!("select count(*), coalesce(sum({hash}), 0)::text, null::text {from}"),
        Some(key) => format!(
            "select count(*), coalesce(sum(h), 0)::text, \
             coalesce(sum((h & 2147483647) * k), 0)::text \
             from (select {hash} as h, {key} as k {from} offset 0) rows"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, Kind, bool)]) -> Table {
        let column = |&(name, kind, not_null): &(&str, Kind, bool)| Column {
            name: name.to_owned(),
            not_null,
            kind,
        };
        Table {
            oid: 1,
            name: "public.t".to_owned(),
            columns: columns.iter().map(column).collect(),
            key: vec!["a".to_owned()],
            blocks: 1,
            weight: 1,
            splits: true,
        }
    }

    #[test]
    fn nullable_columns_are_leaves_and_the_others_a_chain() {
        let table = table(&[("a", Kind::Int4, true), ("b", Kind::Text, false)]);
        let (seed, null) = (constant(2), constant(3));
        assert_eq!(
            row_hash(&table, Equality::Typed),
            format!(
                "hashint4extended(t.a, coalesce(hashtextextended(t.b collate \"C\", {seed}), {null}))"
            )
        );
        assert_eq!(key(&table).unwrap(), "(t.a::int8 & 4294967295)");
    }

    #[test]
    fn constants_look_like_chance() {
        let all: std::collections::BTreeSet<i64> = (0..3200).map(constant).collect();
        assert_eq!(all.len(), 3200);
        assert!(all.iter().all(|value| *value > 1 << 40));
    }

    #[test]
    fn a_table_without_columns_is_counted() {
        let hash = row_hash(&table(&[]), Equality::Typed);
        assert_eq!(hash, "hashint4extended(0, 0::int8)");
    }
}
