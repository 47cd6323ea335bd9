//! Which tables and columns there are.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::{Column, Kind, Options, Table};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::session::Session,
};

/// Tables, leaf partitions, materialized views and foreign tables that are not
/// an extension's own; an extension's configuration tables are dumped and so
/// count as data.
const TABLES: &str = "\
    select c.oid, format('%I.%I', n.nspname, c.relname), n.nspname || '.' || c.relname, \
           c.relkind::text, has_table_privilege(c.oid, 'SELECT'), \
           case when c.relkind = 'f' then 0 \
                else pg_relation_size(c.oid) / current_setting('block_size')::int8 end, \
           coalesce(am.amname = 'heap', false), current_setting('server_version_num')::int4, \
           case when c.relkind = 'f' then 0 \
                else pg_table_size(c.oid) / current_setting('block_size')::int8 end \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         left join pg_am am on am.oid = c.relam \
    where c.relkind in ('r', 'm', 'f') and c.relpersistence <> 't' \
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
      and not exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid \
                      where d.classid = 'pg_class'::regclass and d.objid = c.oid \
                        and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' \
                        and not c.oid = any (coalesce(e.extconfig, '{}')))";

/// Columns with the base type beneath any domains. `\"C\"`: the same order
/// whatever the database's collation.
const COLUMNS: &str = "\
    with recursive base(type, oid, typtype, typbasetype, typtypmod, length) as ( \
        select t.oid, t.oid, t.typtype, t.typbasetype, t.typtypmod, -1 from pg_type t \
        union all \
        select b.type, t.oid, t.typtype, t.typbasetype, t.typtypmod, \
               greatest(b.length, b.typtypmod) \
        from base b join pg_type t on b.typtype = 'd' and t.oid = b.typbasetype) \
    select a.attrelid, quote_ident(a.attname), a.attnotnull, b.oid, \
           coalesce(a.attnum = any (i.indkey), false), \
           coalesce(array_position(i.indkey::int2[], a.attnum), 0)::int4, \
           greatest(a.atttypmod, b.length) >= 0 \
    from pg_attribute a join base b on b.type = a.atttypid and b.typtype <> 'd' \
         left join pg_index i on i.indrelid = a.attrelid and i.indisprimary \
    where a.attnum > 0 and not a.attisdropped and a.attrelid = any ($1) \
    order by a.attrelid, a.attname collate \"C\"";

/// What there is to fingerprint.
pub(super) struct Found {
    pub(super) tables: Vec<Table>,
    /// What is not, and why.
    pub(super) untested: BTreeMap<String, String>,
}

/// Reads the catalogs.
pub(super) async fn read(session: &Session, options: &Options<'_>) -> Result<Found, Failure> {
    let mut found = Found {
        tables: Vec::new(),
        untested: BTreeMap::new(),
    };
    for row in session.rows("list the tables", TABLES, &[]).await? {
        let (name, plain): (String, String) = (row.get(1), row.get(2));
        let excluded = |by: &String| *by == name || *by == plain;
        let wanted = options.only.is_none_or(|only| only.contains(&name));
        if !wanted || options.exclude.iter().any(excluded) {
            continue;
        }
        let (kind, readable): (String, bool) = (row.get(3), row.get(4));
        if kind == "f" {
            let reason = "a foreign table: its rows are elsewhere";
            found.untested.insert(name, reason.to_owned());
        } else if kind == "m" {
            // A dump brings the query, and the load runs it anew: what the
            // view held before may have been older.
            let reason = "a materialized view: a dump holds its query, not its rows";
            found.untested.insert(name, reason.to_owned());
        } else if readable {
            let (blocks, weight): (i64, i64) = (row.get(5), row.get(8));
            let version: i32 = row.get(7);
            found.tables.push(Table {
                oid: row.get(0),
                name,
                columns: Vec::new(),
                key: Vec::new(),
                blocks: u64::try_from(blocks).unwrap_or(0),
                weight: u64::try_from(weight).unwrap_or(0),
                // Scans of a range of blocks came with version 14.
                splits: row.get(6) && version >= 140_000,
            });
        } else {
            return Err(denied(&name));
        }
    }
    add_columns(session, &mut found.tables).await?;
    Ok(found)
}

fn denied(table: &str) -> Failure {
    Failure::new(
        FailureKind::Denied,
        format!("the user may not read table {table}"),
    )
    .hint(format!(
        "GRANT SELECT ON {table} TO the user, or pg_read_all_data (14 and later)"
    ))
}

async fn add_columns(session: &Session, tables: &mut [Table]) -> Result<(), Failure> {
    let place: BTreeMap<u32, usize> = tables
        .iter()
        .enumerate()
        .map(|(place, table)| (table.oid, place))
        .collect();
    let oids: Vec<u32> = place.keys().copied().collect();
    let mut keys: BTreeMap<u32, Vec<(i32, String)>> = BTreeMap::new();
    let add = |row: Row| {
        let table: u32 = row.get(0);
        let Some(table_at) = place.get(&table) else {
            return;
        };
        let name: String = row.get(1);
        if row.get(4) {
            keys.entry(table)
                .or_default()
                .push((row.get(5), name.clone()));
        }
        tables[*table_at].columns.push(Column {
            name,
            not_null: row.get(2),
            kind: kind(row.get(3), row.get(6)),
        });
    };
    let doing = "list the columns";
    session.each(doing, COLUMNS, &[&oids], add).await?;
    for (table, mut key) in keys {
        key.sort();
        tables[place[&table]].key = key.into_iter().map(|(_, name)| name).collect();
    }
    Ok(())
}

/// The object ids of built-in types never change (see `pg_type.dat`).
fn kind(base_type: u32, has_length: bool) -> Kind {
    match base_type {
        16 => Kind::Bool,
        17 => Kind::Bytea,
        20 => Kind::Int8,
        21 => Kind::Int2,
        23 => Kind::Int4,
        25 | 1043 => Kind::Text,
        26 => Kind::Oid,
        700 => Kind::Float4,
        701 => Kind::Float8,
        1042 if has_length => Kind::FixedText,
        1042 => Kind::PaddedText,
        1082 => Kind::Date,
        1083 => Kind::Time,
        1114 => Kind::Timestamp,
        1184 => Kind::Timestamptz,
        1700 => Kind::Numeric,
        2950 => Kind::Uuid,
        3802 => Kind::Jsonb,
        _ => Kind::Other,
    }
}
