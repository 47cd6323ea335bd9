//! Which rows of a table differ: the copy's against those that the recovery
//! point holds for it, read once more. Only looked for where the fingerprints
//! have shown that there is a difference.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        inventory::Inventory,
    },
    engine::postgresql::{
        restore::{
            Work,
            table::{self, Name},
        },
        session::Session,
    },
};

/// Keys that are named of each kind of difference.
const NAMED: usize = 5;

/// Characters of a key that are shown.
const KEY_CHARACTERS: usize = 60;

/// How long the rows of one table may be looked for.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

const DOING: &str = "look for the rows that differ";

/// What is said of a table that differs from the source where its rows do not
/// differ from those of the recovery point.
const SPOILT_BEFORE: &str = "the recovery point holds the same rows as the copy, so they were \
                             wrong before they were loaded";
const GENERATED: &str = "the recovery point holds the same rows as the copy, but for generated \
                         columns, which no dump holds";

/// What the catalog says of the table: its parts, its columns but for those
/// that are generated, those of its primary key, quoted, whether any is
/// generated, and every column with its type.
const TABLE: &str = "\
    select n.nspname::text, c.relname::text, \
           array(select quote_ident(a.attname) from pg_attribute a \
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                   and a.attgenerated = '' order by a.attnum), \
           array(select quote_ident(a.attname) from pg_index i, unnest(i.indkey::int2[]) \
                        with ordinality k(number, place) join pg_attribute a on a.attnum = k.number \
                 where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid \
                 order by k.place), \
           exists(select from pg_attribute a where a.attrelid = c.oid and a.attgenerated <> ''), \
           array(select format('%I.%I.%I %s', n.nspname, c.relname, a.attname, \
                               format_type(a.atttypid, a.atttypmod)) from pg_attribute a \
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.oid = to_regclass($1::text)";

/// An index may be what is damaged. Event triggers of the copy stay silent.
const CAUTION: &str = "SET session_replication_role = replica; SET enable_indexscan = off; \
    SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SET jit = off; SET work_mem = '64MB'";

struct Table {
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

/// What the rows of the recovery point tell of a table that differs.
pub(super) enum Compared {
    /// Which of the copy's rows are others.
    Rows(String),
    /// The copy holds the same; and what follows from that.
    Same(&'static str),
}

/// Says which rows of `table` differ from those of the recovery point.
///
/// # Errors
/// If they can't be compared.
pub(super) async fn differing(
    work: &Work<'_>,
    session: &Session,
    table: &str,
) -> Result<Compared, Failure> {
    session.batch(DOING, CAUTION).await?;
    let row = session.row(DOING, TABLE, &[&table]).await?;
    let (schema, relation): (String, String) = (row.get(0), row.get(1));
    let found = Table {
        name: table.to_owned(),
        columns: row.get(2),
        key: row.get(3),
    };
    let generated: bool = row.get(4);
    like_the_source(work.inventory(), table, row.get(5))?;
    let beside = "pg_temp.lifeboat_beside";
    let make = format!(
        "DROP TABLE IF EXISTS {beside}; CREATE TEMPORARY TABLE lifeboat_beside AS \
         SELECT {} FROM ONLY {table} WITH NO DATA",
        found.columns.join(", ")
    );
    session.batch(DOING, &make).await?;
    let name = Name {
        schema: &schema,
        table: &relation,
    };
    table::read(work, session, &name, beside).await?;
    let rows = session.rows(DOING, &found.comparison(beside), &[]).await?;
    session
        .batch(DOING, &format!("DROP TABLE {beside}"))
        .await?;
    let parts: Vec<String> = rows.iter().map(describe).collect();
    Ok(match (parts.as_slice(), generated) {
        ([], true) => Compared::Same(GENERATED),
        ([], false) => Compared::Same(SPOILT_BEFORE),
        _ => Compared::Rows(parts.join("; ")),
    })
}

/// Rows that are read into columns of other types become others, and where a
/// column is lost they cannot be read.
fn like_the_source(
    source: Option<&Inventory>,
    table: &str,
    columns: Vec<String>,
) -> Result<(), Failure> {
    let source: BTreeSet<String> = source
        .into_iter()
        .flat_map(|source| source.class("column"))
        .filter(|(_, facets)| facets.get("of") == Some(table))
        .map(|(name, facets)| format!("{name} {}", facets.get("type").unwrap_or_default()))
        .collect();
    if source.is_empty() || source == BTreeSet::from_iter(columns) {
        return Ok(());
    }
    let message = "its columns are not those of the source";
    Err(Failure::new(FailureKind::Invalid, message))
}

fn describe(row: &tokio_postgres::Row) -> String {
    let (what, count): (String, i64) = (row.get(0), row.get(1));
    let (keys, columns): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
    let plural = if count == 1 { "row is" } else { "rows are" };
    let mut text = format!("{count} {plural} {what}");
    if !columns.is_empty() {
        text = format!("{text} in {}", columns.join(", "));
    }
    if keys.is_empty() {
        return text;
    }
    let more = if usize::try_from(count).is_ok_and(|count| count > keys.len()) {
        ", …"
    } else {
        ""
    };
    format!("{text}: {}{more}", keys.join(", "))
}

impl Table {
    fn comparison(&self, beside: &str) -> String {
        if self.key.is_empty() {
            self.as_bags(beside)
        } else {
            self.by_key(beside)
        }
    }

    /// Kind of difference, number of rows, first keys, columns that differ.
    /// The rows are compared by their bytes, which is several times faster
    /// than by their text.
    fn by_key(&self, beside: &str) -> String {
        let all = |template: &dyn Fn(&String) -> String, of: &[String], by: &str| {
            of.iter().map(template).collect::<Vec<_>>().join(by)
        };
        let join = all(&|k| format!("t.{k} = s.{k}"), &self.key, " and ");
        let name = |k: &String| {
            let literal = k.replace('\'', "''");
            format!("'{literal} = ' || left(coalesce(t.{k}, s.{k})::text, {KEY_CHARACTERS})")
        };
        let names = all(&name, &self.key, ", ");
        let column = |c: &String| {
            let literal = c.replace('\'', "''");
            format!("case when t.{c}::text is distinct from s.{c}::text then '{literal}' end")
        };
        let columns = all(&column, &self.columns, ", ");
        let ours = all(&|c| format!("t.{c}"), &self.columns, ", ");
        let theirs = all(&|c| format!("s.{c}"), &self.columns, ", ");
        let (first, table) = (&self.key[0], &self.name);
        format!(
            "with d as materialized (select \
                 case when s.{first} is null then 'extra' when t.{first} is null then 'missing' \
                 else 'changed' end as what, coalesce(t.{first}, s.{first}) as place, \
                 concat_ws(' and ', {names}) as name, \
                 case when s.{first} is not null and t.{first} is not null \
                 then array_remove(array[{columns}], null) else '{{}}' end as columns \
               from only {table} t full join {beside} s on {join} \
               where pg_catalog.record_image_ne(row({ours}), row({theirs}))) \
             select what, count(*), (array_agg(name order by place))[1:{NAMED}], \
                 array(select distinct c from d e, unnest(e.columns) c where e.what = d.what \
                       order by c) \
             from d group by what order by what"
        )
    }

    fn as_bags(&self, beside: &str) -> String {
        let side = |of: &str| format!("select row({})::text from {of}", self.columns.join(", "));
        let (copy, backup) = (side(&format!("only {}", self.name)), side(beside));
        let one = |what: &str, more: &str, less: &str| {
            format!(
                "select '{what}', count(*), '{{}}'::text[], '{{}}'::text[] \
                 from ({more} except all {less}) rows having count(*) > 0"
            )
        };
        let (extra, missing) = ("extra", "missing");
        format!(
            "{} union all {}",
            one(extra, &copy, &backup),
            one(missing, &backup, &copy)
        )
    }
}
