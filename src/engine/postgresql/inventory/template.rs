//! Fills the gaps in the catalog statements: what is the same in many of
//! them, and what differs between server versions.
//!
//! A gap is `{{name|argument|…}}`. Arguments are SQL, and hold no `{{` and no
//! single `|`.

/// Objects of the user's own schemas.
const USER_SCHEMA: &str = "(@.nspname !~ '^pg_(catalog$|toast|temp_)' \
    AND @.nspname <> 'information_schema')";

/// Fills every gap for a server of `version`, such as `150018`.
pub(super) fn expand(sql: &str, version: i32) -> String {
    let mut out = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("{{") {
        let (gap, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&fill(gap, version));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn fill(gap: &str, version: i32) -> String {
    // `||` is SQL's concatenation, not the end of an argument.
    let guarded = gap.replace("||", "\u{1}");
    let parts: Vec<String> = guarded
        .split('|')
        .map(|p| p.replace('\u{1}', "||"))
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["user_schema", alias] => USER_SCHEMA.replace('@', alias),
        ["not_extension", catalog, oid] => format!(
            "NOT EXISTS (SELECT FROM pg_depend ext WHERE ext.classid = '{catalog}'::regclass \
             AND ext.objid = {oid} AND ext.deptype = 'e')"
        ),
        ["grants", acl, owner, kind] => grants(acl, owner, kind),
        ["options", array] => options(array),
        ["enabled", state] => format!(
            "CASE {state} WHEN 'O' THEN 'yes' WHEN 'D' THEN 'disabled' \
             WHEN 'R' THEN 'on replicas' ELSE 'always' END"
        ),
        ["since", first, then, otherwise] => {
            let first: i32 = first.parse().unwrap_or(i32::MAX);
            if version >= first { then } else { otherwise }.to_string()
        }
        // The server will refuse it, and a test will see that.
        _ => format!("{{{{{gap}}}}}"),
    }
}

/// An access control list as text. A list that was never touched is the
/// default one made explicit, so that the two compare equal. The owner is not
/// named, so that a change of owner is one difference and not two.
fn grants(acl: &str, owner: &str, kind: &str) -> String {
    format!(
        "(SELECT string_agg(y.who || ': ' || y.what, '; ' ORDER BY y.who) FROM (\
         SELECT x.who, string_agg(x.what, ', ' ORDER BY x.what) AS what FROM (\
         SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' WHEN {owner} THEN 'the owner' \
         ELSE quote_ident(pg_get_userbyid(e.grantee)) END AS who, \
         e.privilege_type || CASE WHEN e.is_grantable THEN ' with grant option' ELSE '' END \
         || CASE WHEN e.grantor = {owner} THEN '' \
         ELSE ' by ' || quote_ident(pg_get_userbyid(e.grantor)) END AS what \
         FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) e) x \
         GROUP BY x.who) y)"
    )
}

/// Options of foreign objects, without the values of those that sound secret.
fn options(array: &str) -> String {
    format!(
        "(SELECT string_agg(CASE WHEN o.option_name ~* '(pass|secret|token|key|cred)' \
         THEN o.option_name || ' (not shown)' ELSE o.option_name || '=' || o.option_value END, \
         ', ' ORDER BY o.option_name) FROM pg_options_to_table({array}) o)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_by_version() {
        let sql = "a {{since|140000|x || y|''}} b";
        assert_eq!(expand(sql, 150_000), "a x || y b");
        assert_eq!(expand(sql, 130_012), "a '' b");
    }

    #[test]
    fn every_gap_of_every_statement_is_known() {
        for sql in super::super::STATEMENTS
            .iter()
            .chain([&super::super::ENVIRONMENT])
        {
            for version in [130_000, 180_000] {
                assert!(!expand(sql, version).contains("{{"), "{sql}");
            }
        }
    }
}
