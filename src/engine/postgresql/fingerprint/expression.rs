//! The SQL that hashes a row.
//!
//! The hash functions take a seed and are strict. Columns that cannot be null
//! are chained: the hash of one is the seed of the next. A null would wipe out
//! the chain, so each nullable column is hashed by itself, a null standing for
//! a constant, and these hashes are xored into the first seed. What comes out
//! depends on every value and on the column it is in.

use super::{Column, Kind, Table};

/// The alias of the table in the generated SQL.
const ALIAS: &str = "t";

/// The hash of a row of `table`.
pub(super) fn row_hash(table: &Table, exact_text: bool) -> String {
    let columns: Vec<&Column> = table.columns.iter().collect();
    hash_of(&columns, exact_text)
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
        several => hash_of(several, false),
    };
    Some(format!("({value} & 4294967295)"))
}

/// Whether the key's 32 bits are those of the key itself.
pub(super) fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8)
}

fn hash_of(columns: &[&Column], exact_text: bool) -> String {
    let mut seed = String::from("0::int8");
    for (number, column) in columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.not_null)
    {
        let number = number + 1;
        let hash = value_hash(column, &format!("{number}::int8"), exact_text);
        let leaf = format!("coalesce({hash}, {})", 7_919 * number);
        seed = if seed == "0::int8" {
            leaf
        } else {
            format!("{seed} # {leaf}")
        };
    }
    let mut mixed = false;
    for column in columns.iter().filter(|column| column.not_null) {
        seed = value_hash(column, &seed, exact_text);
        mixed = true;
    }
    // Without this step the sum over all rows would be one of single columns,
    // and values that change places between rows would go unnoticed.
    if mixed {
        seed
    } else {
        format!("hashint4extended(0, {seed})")
    }
}

fn value_hash(column: &Column, seed: &str, exact_text: bool) -> String {
    let value = reference(column);
    let kind = if exact_text { Kind::Other } else { column.kind };
    match kind {
        Kind::Bool => format!("hashint4extended({value}::int4, {seed})"),
        Kind::Int2 => format!("hashint2extended({value}, {seed})"),
        Kind::Int4 => format!("hashint4extended({value}, {seed})"),
        // hashint8extended folds its value to 32 bits, a seed keeps all 64.
        Kind::Int8 => format!("hashint4extended(8, {value} # ({seed}))"),
        Kind::Oid => format!("hashoidextended({value}, {seed})"),
        Kind::Float4 => format!("hashfloat4extended({value}, {seed})"),
        Kind::Float8 => format!("hashfloat8extended({value}, {seed})"),
        Kind::Text => format!("hashtextextended({value} collate \"C\", {seed})"),
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
        // The hash of a number knows neither its sign nor its scale, and jsonb
        // hashes the numbers in it in the same way: so both go by their text.
        Kind::Numeric | Kind::Jsonb | Kind::PaddedText | Kind::Other => {
            format!("hashtextextended({value}::text collate \"C\", {seed})")
        }
    }
}

fn reference(column: &Column) -> String {
    format!("{ALIAS}.{}", column.name)
}

/// Reads count, sum and weighted sum of all rows, or of those in a range of
/// blocks. `offset 0` keeps the planner from computing the hash twice.
pub(super) fn statement(table: &Table, exact_text: bool, blocks: Option<(u64, u64)>) -> String {
    let hash = row_hash(table, exact_text);
    let range = blocks.map_or_else(String::new, |(from, to)| {
        format!(" where {ALIAS}.ctid >= '({from},0)'::tid and {ALIAS}.ctid < '({to},0)'::tid")
    });
    let from = format!("from only {} {ALIAS}{range}", table.name);
    match key(table) {
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

    fn column(name: &str, kind: Kind, not_null: bool) -> Column {
        Column {
            name: name.to_owned(),
            not_null,
            kind,
        }
    }

    #[test]
    fn nullable_columns_are_leaves_and_the_others_a_chain() {
        let table = Table {
            oid: 1,
            name: "public.t".to_owned(),
            columns: vec![
                column("a", Kind::Int4, true),
                column("b", Kind::Text, false),
            ],
            key: vec!["a".to_owned()],
            blocks: 1,
            splits: true,
        };
        assert_eq!(
            row_hash(&table, false),
            "hashint4extended(t.a, coalesce(hashtextextended(t.b collate \"C\", 2::int8), 15838))"
        );
        assert_eq!(key(&table).unwrap(), "(t.a::int8 & 4294967295)");
    }

    #[test]
    fn a_table_without_columns_is_counted() {
        let table = Table {
            oid: 1,
            name: "public.none".to_owned(),
            columns: vec![],
            key: vec![],
            blocks: 0,
            splits: true,
        };
        assert!(statement(&table, false, None).contains("hashint4extended(0, 0::int8)"));
    }
}
