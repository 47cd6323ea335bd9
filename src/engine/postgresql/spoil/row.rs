//! One byte of one value of one row.

use crate::{domain::failure::Failure, engine::postgresql::session::Session};

/// Columns that can be changed without touching any constraint, key or
/// sequence, of tables with a primary key and without triggers that would
/// fire nevertheless. Largest table first, text before numbers.
const CANDIDATES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), quote_ident(a.attname), a.atttypid::regtype::text,
        (SELECT string_agg(format('%I', p.attname), ', ' ORDER BY p.attnum) FROM pg_attribute p
            WHERE p.attrelid = c.oid AND p.attnum = ANY (k.conkey)),
        (SELECT string_agg(format('%L || %I', p.attname || ' = ', p.attname), $s$ || ' and ' || $s$
            ORDER BY p.attnum) FROM pg_attribute p
            WHERE p.attrelid = c.oid AND p.attnum = ANY (k.conkey))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_'
        AND n.nspname <> 'information_schema'
        AND format('%I.%I', n.nspname, c.relname) <> ALL ($1)
        AND a.attgenerated = '' AND a.attidentity = ''
        AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype,
            'int4'::regtype, 'int8'::regtype)
        AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conrelid = c.oid
            AND a.attnum = ANY (x.conkey))
        AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.confrelid = c.oid
            AND a.attnum = ANY (x.confkey))
        AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid
            AND (x.indisunique AND a.attnum = ANY (x.indkey) OR x.indexprs IS NOT NULL))
        AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid
            AND t.tgenabled IN ('A', 'R'))
        AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)
        AND (NOT c.relispartition OR NOT EXISTS (SELECT FROM pg_inherits h
            JOIN pg_partitioned_table p ON p.partrelid = h.inhparent
            JOIN pg_attribute pa ON pa.attrelid = p.partrelid AND pa.attname = a.attname
            WHERE h.inhrelid = c.oid AND pa.attnum = ANY (p.partattrs)))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
            AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
            AND d.objid IN (SELECT s.seqrelid FROM pg_sequence s))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relpages DESC, c.oid, a.atttypid IN ('int4'::regtype, 'int8'::regtype), a.attnum
    LIMIT 200";

/// Changes one byte of one value, in the first place that has one.
///
/// # Errors
/// If no table has a value that can be changed safely.
pub(super) async fn change_byte(session: &Session, spared: &[String]) -> Result<String, Failure> {
    const DOING: &str = "change one byte of one row";
    for candidate in session.rows(DOING, CANDIDATES, &[&spared]).await? {
        let (table, column): (String, String) = (candidate.get(0), candidate.get(1));
        let (keys, told): (String, String) = (candidate.get(3), candidate.get(4));
        let (usable, changed) = change(&column, candidate.get(2));
        let sql = format!(
            "UPDATE {table} SET {column} = {changed} WHERE ({keys}) = \
             (SELECT {keys} FROM {table} WHERE {usable} LIMIT 1) RETURNING {told}"
        );
        if let Some(row) = session.rows(DOING, &sql, &[]).await?.first() {
            let key: String = row.get(0);
            return Ok(format!(
                "changed one byte of {column} in {table} where {key}"
            ));
        }
    }
    Err(super::nothing_to(
        "change",
        "no table has a row with a value that no constraint depends on",
    ))
}

/// Which values can be changed, and into what: of the same length.
fn change(column: &str, data_type: &str) -> (String, String) {
    match data_type {
        "integer" | "bigint" => (format!("{column} IS NOT NULL"), format!("{column} # 1")),
        "bytea" => (
            format!("length({column}) > 0"),
            format!("set_byte({column}, 0, get_byte({column}, 0) # 1)"),
        ),
        _ => (
            format!("octet_length(left({column}, 1)) = 1"),
            format!("CASE left({column}, 1) WHEN 'x' THEN 'y' ELSE 'x' END || substr({column}, 2)"),
        ),
    }
}
