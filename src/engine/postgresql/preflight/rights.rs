//! Whether the user may read everything that a dump reads.

use tokio_postgres::Row;

use super::{Looked, first_few};
use crate::{
    domain::{check::Finding, failure::Failure},
    engine::postgresql::globals::identifier,
};

/// What a dump reads: tables, partitioned ones included (they are locked), and
/// sequences. Members of extensions come with the extension, but for those
/// whose content the extension declares to be the user's.
const DUMPED: &str = "\
    select c.oid, n.oid as schema_oid, n.nspname::text as schema, c.relkind, \
           format('%I.%I', n.nspname, c.relname) as name \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't' \
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
      and (not exists (select from pg_catalog.pg_depend d where d.objid = c.oid \
               and d.classid = 'pg_catalog.pg_class'::regclass and d.deptype = 'e') \
           or exists (select from pg_catalog.pg_extension e where c.oid = any(e.extconfig)))";

/// Rights on large objects come with no function before version 18, and
/// `pg_read_all_data` does not give them.
const LARGE_OBJECTS: &str = "\
    select l.oid::text from pg_catalog.pg_largeobject_metadata l \
    where current_setting('lo_compat_privileges') = 'off' \
      and not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) \
      and not pg_has_role(l.lomowner, 'USAGE') \
      and not exists (select from aclexplode(l.lomacl) a where a.privilege_type = 'SELECT' \
              and (a.grantee = 0 or pg_has_role(a.grantee, 'USAGE'))) \
    order by l.oid";

/// From this version on one role gives the right to read all tables.
const READ_ALL_DATA: u32 = 140_000;

pub(super) async fn look(looked: &Looked<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = vec![
        schemas(looked).await?,
        relations(looked, "tables", "c.relkind in ('r', 'p')").await?,
        relations(looked, "sequences", "c.relkind = 'S'").await?,
        large_objects(looked).await?,
        row_security(looked).await?,
        roles(looked).await?,
    ];
    findings.extend(subscriptions(looked).await?);
    Ok(findings)
}

async fn names(looked: &Looked<'_>, sql: &str) -> Result<Vec<String>, Failure> {
    let rows = looked.session.rows("look at the rights", sql, &[]).await?;
    Ok(rows.iter().map(|row: &Row| row.get(0)).collect())
}

fn user(looked: &Looked<'_>) -> String {
    identifier(&looked.endpoint.user)
}

fn read_all_data(looked: &Looked<'_>) -> Option<String> {
    (looked.version_num >= READ_ALL_DATA)
        .then(|| format!("GRANT pg_read_all_data TO {}", user(looked)))
}

async fn schemas(looked: &Looked<'_>) -> Result<Finding, Failure> {
    let sql = format!(
        "with dumped as ({DUMPED}) select distinct quote_ident(schema) from dumped \
         where not has_schema_privilege(schema_oid, 'USAGE') order by 1"
    );
    let missing = names(looked, &sql).await?;
    if missing.is_empty() {
        return Ok(Finding::ok("schemas", "all may be used"));
    }
    let each = format!(
        "GRANT USAGE ON SCHEMA {} TO {}",
        missing.join(", "),
        user(looked)
    );
    let text = format!("no right to use {}", first_few(&missing));
    Ok(Finding::error("schemas", text).hint(read_all_data(looked).unwrap_or(each)))
}

async fn relations(looked: &Looked<'_>, subject: &str, which: &str) -> Result<Finding, Failure> {
    let which = which.replace("c.", "");
    let right = if subject == "sequences" {
        "has_sequence_privilege(oid, 'SELECT')"
    } else {
        "has_table_privilege(oid, 'SELECT')"
    };
    let sql = format!(
        "with dumped as ({DUMPED}) select name, quote_ident(schema), {right} from dumped \
         where {which} order by 1"
    );
    let rows = looked.session.rows("look at the rights", &sql, &[]).await?;
    let denied = || {
        rows.iter()
            .filter(|row| !row.get::<_, Option<bool>>(2).unwrap_or(true))
    };
    let missing: Vec<String> = denied().map(|row| row.get(0)).collect();
    if missing.is_empty() {
        let text = format!("all {} may be read", rows.len());
        return Ok(Finding::ok(subject, text));
    }
    let mut schemas: Vec<String> = denied().map(|row| row.get(1)).collect();
    schemas.dedup();
    let kind = subject.to_uppercase();
    let each = format!(
        "GRANT SELECT ON ALL {kind} IN SCHEMA {} TO {}",
        schemas.join(", "),
        user(looked)
    );
    let text = format!("no right to read {}", first_few(&missing));
    Ok(Finding::error(subject, text).hint(read_all_data(looked).unwrap_or(each)))
}

async fn large_objects(looked: &Looked<'_>) -> Result<Finding, Failure> {
    let missing = names(looked, LARGE_OBJECTS).await?;
    if missing.is_empty() {
        return Ok(Finding::ok("large objects", "all may be read"));
    }
    let hint = format!(
        "GRANT SELECT ON LARGE OBJECT {} TO {}; docs/postgresql.md has a statement for all of them",
        missing
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
        user(looked)
    );
    let text = format!("no right to read {}", first_few(&missing));
    Ok(Finding::error("large objects", text).hint(hint))
}

/// The server itself says where a policy would apply to this user; a dump
/// fails there rather than leave rows out.
async fn row_security(looked: &Looked<'_>) -> Result<Finding, Failure> {
    let sql = format!(
        "with dumped as ({DUMPED}) select name from dumped \
         where relkind in ('r', 'p') and row_security_active(oid) order by 1"
    );
    let missing = names(looked, &sql).await?;
    if missing.is_empty() {
        return Ok(Finding::ok(
            "row-level security",
            "hides nothing from this user",
        ));
    }
    let text = format!("policies hide rows of {}", first_few(&missing));
    let hint = format!("ALTER ROLE {} BYPASSRLS", user(looked));
    Ok(Finding::error("row-level security", text).hint(hint))
}

async fn roles(looked: &Looked<'_>) -> Result<Finding, Failure> {
    let sql = "select v from unnest(array['pg_roles', 'pg_auth_members', 'pg_db_role_setting', \
               'pg_database']) v where not has_table_privilege('pg_catalog.' || v, 'SELECT')";
    let missing = names(looked, sql).await?;
    if missing.is_empty() {
        let text = "roles, memberships and settings can be read";
        return Ok(Finding::ok("globals", text));
    }
    let hint = format!(
        "GRANT SELECT ON pg_catalog.{} TO {}",
        missing.join(", pg_catalog."),
        user(looked)
    );
    let text = format!("no right to read {}", missing.join(", "));
    Ok(Finding::error("globals", text).hint(hint))
}

/// Only a superuser can dump them; everybody else leaves them out.
async fn subscriptions(looked: &Looked<'_>) -> Result<Option<Finding>, Failure> {
    let sql = "select subname::text from pg_catalog.pg_subscription s \
               join pg_catalog.pg_database d on d.oid = s.subdbid \
               where d.datname = current_database() \
                 and not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)";
    let left_out = names(looked, sql).await?;
    if left_out.is_empty() {
        return Ok(None);
    }
    let text = format!(
        "not in a dump that no superuser makes: {}",
        first_few(&left_out)
    );
    let hint = "keep the statements that make them with the runbook";
    Ok(Some(Finding::warning("subscriptions", text).hint(hint)))
}
