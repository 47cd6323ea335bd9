//! What belongs to the database itself and is not in its dump: owner, grants,
//! comment.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::{identifier, literal};
use crate::{domain::failure::Failure, engine::postgresql::session::Session};

const DATABASE: &str = "\
    select pg_get_userbyid(d.datdba)::text, shobj_description(d.oid, 'pg_database'), \
           d.datacl is not null \
    from pg_catalog.pg_database d where d.datname = current_database()";

/// In the order in which they were given: one may rest on another.
const GRANTS: &str = "\
    select e.grantee = 0, pg_get_userbyid(e.grantee)::text, \
           case when e.grantor <> d.datdba then pg_get_userbyid(e.grantor)::text end, \
           e.privilege_type, e.is_grantable \
    from pg_catalog.pg_database d cross join lateral \
         aclexplode(d.datacl) with ordinality e \
    where d.datname = current_database() order by e.ordinality";

/// The database that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `None` where the default was never touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
}

/// One right in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `None` for everyone.
    pub grantee: Option<String>,
    /// Where it was not the owner who gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantor: Option<String>,
    pub privilege: String,
    pub grantable: bool,
}

impl Database {
    pub(super) async fn collect(session: &Session) -> Result<Self, Failure> {
        let row = session.row("read the database", DATABASE, &[]).await?;
        let touched: bool = row.get(2);
        let grants = if touched {
            let rows = session
                .rows("read the grants on the database", GRANTS, &[])
                .await?;
            Some(rows.iter().map(grant).collect())
        } else {
            None
        };
        Ok(Self {
            owner: row.get(0),
            comment: row.get(1),
            grants,
        })
    }

    /// Statements that make it so; `name` is quoted.
    pub(super) fn statements(&self, name: &str) -> Vec<String> {
        let owner = identifier(&self.owner);
        let mut all = vec![format!("ALTER DATABASE {name} OWNER TO {owner}")];
        if let Some(comment) = &self.comment {
            all.push(format!(
                "COMMENT ON DATABASE {name} IS {}",
                literal(comment)
            ));
        }
        if let Some(grants) = &self.grants {
            all.push(format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC, {owner}"
            ));
            all.extend(grants.iter().map(|grant| grant.statement(name)));
        }
        all
    }
}

impl Grant {
    /// One message, so that the role is taken on for it alone.
    fn statement(&self, name: &str) -> String {
        let role = self.grantor.as_ref().map_or_else(String::new, |grantor| {
            format!("SET LOCAL ROLE {}; ", identifier(grantor))
        });
        let to = self
            .grantee
            .as_ref()
            .map_or_else(|| "PUBLIC".to_owned(), |grantee| identifier(grantee));
        let option = if self.grantable {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        let privilege = &self.privilege;
        format!("{role}GRANT {privilege} ON DATABASE {name} TO {to}{option}")
    }
}

fn grant(row: &Row) -> Grant {
    let everyone: bool = row.get(0);
    Grant {
        grantee: (!everyone).then(|| row.get(1)),
        grantor: row.get(2),
        privilege: row.get(3),
        grantable: row.get(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_replace_the_default_ones() {
        let database = Database {
            owner: "ann".into(),
            comment: None,
            grants: Some(vec![
                Grant {
                    privilege: "CONNECT".into(),
                    ..Grant::default()
                },
                Grant {
                    grantee: Some("bob".into()),
                    grantor: Some("eve".into()),
                    privilege: "CREATE".into(),
                    grantable: true,
                },
            ]),
        };
        let statements = database.statements("\"shop\"");
        let expected = [
            "ALTER DATABASE \"shop\" OWNER TO \"ann\"",
            "REVOKE ALL ON DATABASE \"shop\" FROM PUBLIC, \"ann\"",
            "GRANT CONNECT ON DATABASE \"shop\" TO PUBLIC",
            "SET LOCAL ROLE \"eve\"; GRANT CREATE ON DATABASE \"shop\" TO \"bob\" WITH GRANT OPTION",
        ];
        assert_eq!(statements, expected);
    }
}
