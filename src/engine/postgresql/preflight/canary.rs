//! Whether the canary may write.

use super::{Looked, finding_of};
use crate::{
    domain::{check::Finding, failure::Failure},
    engine::postgresql::{
        canary::{TableName, on_standby},
        globals::identifier,
    },
};

const SUBJECT: &str = "canary";

pub(super) async fn look(looked: &Looked<'_>) -> Result<Vec<Finding>, Failure> {
    let Some(canary) = &looked.engine.canary else {
        return Ok(Vec::new());
    };
    if looked.standby {
        return Ok(vec![finding_of(SUBJECT, &on_standby())]);
    }
    let name = match TableName::parse(&looked.session, &canary.table).await {
        Ok(name) => name,
        Err(failure) => return Ok(vec![finding_of(SUBJECT, &failure)]),
    };
    let finding = if name.exists(&looked.session).await? {
        existing(looked, &name).await?
    } else {
        to_be_made(looked, &name).await?
    };
    Ok(vec![finding])
}

/// Rights to the table, and the columns that are written.
async fn existing(looked: &Looked<'_>, name: &TableName) -> Result<Finding, Failure> {
    let sql = "select array(select right_ from unnest(array['SELECT', 'INSERT', 'DELETE']) right_ \
                   where not has_table_privilege(c.oid, right_)), \
               array(select wanted from unnest(array['sequence', 'written_at', 'run']) wanted \
                   where not exists (select from pg_attribute a where a.attrelid = c.oid \
                         and a.attname = wanted and not a.attisdropped)), \
               has_schema_privilege(n.oid, 'USAGE') \
               from pg_class c join pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = $1 and c.relname = $2";
    let row = looked
        .session
        .row(
            "look at the canary table",
            sql,
            &[&name.schema, &name.table],
        )
        .await?;
    let quoted = name.quoted(&looked.session).await?;
    let (rights, columns): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
    let user = identifier(&looked.endpoint.user);
    if !columns.is_empty() {
        let text = format!("{quoted} has no column {}", columns.join(", "));
        let hint = "name another table, or drop this one and let Lifeboat make it";
        return Ok(Finding::error(SUBJECT, text).hint(hint));
    }
    if !row.get::<_, bool>(2) {
        let text = format!("no right to use the schema of {quoted}");
        let schema = identifier(&name.schema);
        let hint = format!("GRANT USAGE ON SCHEMA {schema} TO {user}");
        return Ok(Finding::error(SUBJECT, text).hint(hint));
    }
    if !rights.is_empty() {
        let rights = rights.join(", ");
        let text = format!("no right to {rights} on {quoted}");
        let hint = format!("GRANT {rights} ON {quoted} TO {user}");
        return Ok(Finding::error(SUBJECT, text).hint(hint));
    }
    Ok(Finding::ok(SUBJECT, format!("{quoted} may be written")))
}

async fn to_be_made(looked: &Looked<'_>, name: &TableName) -> Result<Finding, Failure> {
    let sql = "select coalesce((select has_schema_privilege(oid, 'CREATE') from pg_namespace \
                   where nspname = $1), \
                   has_database_privilege(current_database(), 'CREATE'))";
    let row = looked
        .session
        .row("look at the canary's schema", sql, &[&name.schema])
        .await?;
    let quoted = name.quoted(&looked.session).await?;
    if row.get(0) {
        let text = format!("{quoted} will be made");
        return Ok(Finding::ok(SUBJECT, text));
    }
    let text = format!("{quoted} is not there, and may not be made");
    let schema = identifier(&name.schema);
    let user = identifier(&looked.endpoint.user);
    let hint = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}"
    );
    Ok(Finding::error(SUBJECT, text).hint(hint))
}
