//! Roles and other globals: what belongs to the server and not to a database.
//!
//! Read from views that everyone may read, so neither `pg_dumpall` nor a
//! superuser is needed. Passwords are neither read nor needed: the copy is
//! reached by its own superuser alone.

mod database;

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

pub use self::database::{Database, Grant};
use super::session::Session;
use crate::domain::failure::{Failure, FailureKind};

/// The file beside a fresh dump that holds its globals.
pub const FILE_NAME: &str = "globals.json";

/// Settings whose value is a list of quoted names, each to be given as a value
/// of its own (`GUC_LIST_QUOTE` in the server's `guc_tables.c`).
const QUOTED_LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Roles with their attributes, memberships and settings. No passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {
    /// Without those that every server has (`pg_…`), by name.
    pub roles: Vec<Role>,
    pub memberships: Vec<Membership>,
    /// What `ALTER ROLE … SET` and `ALTER DATABASE … SET` left: for every
    /// database, and for the one that was read.
    pub settings: Vec<Setting>,
    /// The database that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
}

/// One role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    /// -1 for no limit.
    pub connection_limit: i32,
    /// As the server writes it, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// `member` belongs to `role`. Where several grantors gave it, the sum of what
/// they gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub role: String,
    pub member: String,
    pub admin: bool,
    /// From version 16 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherit: Option<bool>,
    /// From version 16 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
}

/// One setting of a role, of the database, or of a role in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// `None` for every role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether it holds in the database that was read, or in all.
    pub in_database: bool,
    pub name: String,
    pub value: String,
}

impl Globals {
    /// Reads them from a server, within the session's transaction if one is
    /// open; needs no superuser.
    ///
    /// # Errors
    /// If the server does not answer, or the views are closed to the user.
    pub async fn collect(session: &Session) -> Result<Self, Failure> {
        let roles = session.rows("read the roles", ROLES, &[]).await?;
        let version = session
            .row(
                "read the version",
                "select current_setting('server_version_num')::int4",
                &[],
            )
            .await?
            .get::<_, i32>(0);
        let memberships = session
            .rows("read the memberships", &memberships_query(version), &[])
            .await?;
        let settings = session
            .rows("read the settings of roles", SETTINGS, &[])
            .await?;
        let database = Database::collect(session).await?;
        Ok(Self {
            roles: roles.iter().map(role).collect(),
            memberships: memberships.iter().map(membership).collect(),
            settings: settings.iter().map(setting).collect(),
            database: Some(database),
        })
    }

    /// Statements that make them on an empty cluster, in order. What belongs
    /// to one database is in [`Self::database_statements`].
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        let mut all = Vec::new();
        for role in &self.roles {
            all.push(format!("CREATE ROLE {}", identifier(&role.name)));
        }
        for role in &self.roles {
            all.push(attributes(role));
            if let Some(comment) = &role.comment {
                let name = identifier(&role.name);
                all.push(format!("COMMENT ON ROLE {name} IS {}", literal(comment)));
            }
        }
        all.extend(self.memberships.iter().map(grant));
        let everywhere = self.settings.iter().filter(|s| !s.in_database);
        all.extend(everywhere.map(|setting| set_statement(setting, None)));
        all
    }

    /// Statements for the restored database, which has to exist, under the
    /// name it has there.
    #[must_use]
    pub fn database_statements(&self, database: &str) -> Vec<String> {
        let name = identifier(database);
        let mut all = self
            .database
            .as_ref()
            .map_or_else(Vec::new, |database| database.statements(&name));
        let here = self.settings.iter().filter(|s| s.in_database);
        all.extend(here.map(|setting| set_statement(setting, Some(&name))));
        all
    }

    /// Reads the file beside the dump directory, if there is one.
    ///
    /// # Errors
    /// `BadBackup` if it is there and can't be read.
    pub fn beside(dump: &Path) -> Result<Option<Self>, Failure> {
        let path = dump.with_file_name(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| unusable(&path, &error))
    }

    /// Writes the file into `directory`, readable by its owner alone: settings
    /// of roles may hold secrets of applications.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        let path = directory.join(FILE_NAME);
        let fail = |error: &dyn std::fmt::Display| {
            Failure::new(
                FailureKind::Exhausted,
                format!("cannot write {}: {error}", path.display()),
            )
        };
        let text = serde_json::to_vec_pretty(self).map_err(|error| fail(&error))?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| fail(&error))?;
        file.write_all(&text).map_err(|error| fail(&error))
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::BadBackup,
        format!("cannot read the globals {}: {error}", path.display()),
    )
}

const ROLES: &str = "\
    select rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, \
           rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil::text, \
           shobj_description(oid, 'pg_authid') \
    from pg_catalog.pg_roles where rolname !~ '^pg_' order by rolname";

const SETTINGS: &str = "\
    select r.rolname::text, s.setdatabase <> 0, split_part(entry, '=', 1), \
           substr(entry, strpos(entry, '=') + 1) \
    from pg_catalog.pg_db_role_setting s cross join unnest(s.setconfig) entry \
    left join pg_catalog.pg_roles r on r.oid = s.setrole \
    where (s.setrole = 0 or r.rolname !~ '^pg_') \
      and (s.setdatabase = 0 or s.setdatabase = \
           (select oid from pg_catalog.pg_database where datname = current_database())) \
    order by 2, 1 nulls first, 3";

fn memberships_query(version_num: i32) -> String {
    let options = if version_num >= 160_000 {
        "bool_or(m.inherit_option), bool_or(m.set_option)"
    } else {
        "null::bool, null::bool"
    };
    format!(
        "select r.rolname::text, u.rolname::text, bool_or(m.admin_option), {options} \
         from pg_catalog.pg_auth_members m \
         join pg_catalog.pg_roles r on r.oid = m.roleid \
         join pg_catalog.pg_roles u on u.oid = m.member \
         where u.rolname !~ '^pg_' group by 1, 2 order by 1, 2"
    )
}

fn role(row: &Row) -> Role {
    Role {
        name: row.get(0),
        superuser: row.get(1),
        inherit: row.get(2),
        create_role: row.get(3),
        create_database: row.get(4),
        login: row.get(5),
        replication: row.get(6),
        bypass_rls: row.get(7),
        connection_limit: row.get(8),
        valid_until: row.get(9),
        comment: row.get(10),
    }
}

fn membership(row: &Row) -> Membership {
    Membership {
        role: row.get(0),
        member: row.get(1),
        admin: row.get(2),
        inherit: row.get(3),
        set: row.get(4),
    }
}

fn setting(row: &Row) -> Setting {
    Setting {
        role: row.get(0),
        in_database: row.get(1),
        name: row.get(2),
        value: row.get(3),
    }
}

fn attributes(role: &Role) -> String {
    let flags = [
        (role.superuser, "SUPERUSER"),
        (role.inherit, "INHERIT"),
        (role.create_role, "CREATEROLE"),
        (role.create_database, "CREATEDB"),
        (role.login, "LOGIN"),
        (role.replication, "REPLICATION"),
        (role.bypass_rls, "BYPASSRLS"),
    ];
    let mut text = format!("ALTER ROLE {} WITH", identifier(&role.name));
    for (on, word) in flags {
        text.push_str(if on { " " } else { " NO" });
        text.push_str(word);
    }
    text = format!("{text} CONNECTION LIMIT {}", role.connection_limit);
    if let Some(until) = &role.valid_until {
        text = format!("{text} VALID UNTIL {}", literal(until));
    }
    text
}

/// Granted by whoever runs the statement: a chain of grantors changes who may
/// take a membership back, not who has it.
fn grant(membership: &Membership) -> String {
    let mut text = format!(
        "GRANT {} TO {}",
        identifier(&membership.role),
        identifier(&membership.member)
    );
    if let (Some(inherit), Some(set)) = (membership.inherit, membership.set) {
        let admin = membership.admin;
        text = format!("{text} WITH ADMIN {admin}, INHERIT {inherit}, SET {set}");
    } else if membership.admin {
        text.push_str(" WITH ADMIN OPTION");
    }
    text
}

/// `database` is quoted.
fn set_statement(setting: &Setting, database: Option<&str>) -> String {
    let target = match (&setting.role, database) {
        (None, Some(database)) => format!("ALTER DATABASE {database}"),
        (None, None) => "ALTER ROLE ALL".to_owned(),
        (Some(role), None) => format!("ALTER ROLE {}", identifier(role)),
        (Some(role), Some(database)) => {
            format!("ALTER ROLE {} IN DATABASE {database}", identifier(role))
        }
    };
    let name: Vec<_> = setting.name.split('.').map(identifier).collect();
    let value = if QUOTED_LISTS.contains(&setting.name.to_lowercase().as_str()) {
        let items: Vec<_> = list_items(&setting.value)
            .iter()
            .map(|item| literal(item))
            .collect();
        if items.is_empty() {
            "''".to_owned()
        } else {
            items.join(", ")
        }
    } else {
        literal(&setting.value)
    };
    format!("{target} SET {} TO {value}", name.join("."))
}

/// Splits a list of names such as `"$user", public`.
fn list_items(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut chars = text.chars().peekable();
    let (mut item, mut quoted, mut any) = (String::new(), false, false);
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                item.push('"');
            }
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                items.push(std::mem::take(&mut item));
                any = false;
            }
            c if c.is_whitespace() && !quoted => {}
            c => item.push(c),
        }
    }
    if any || !item.is_empty() {
        items.push(item);
    }
    items
}

/// A name, quoted whatever it is.
pub(in crate::engine::postgresql) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant that reads the same whatever
/// `standard_conforming_strings` says.
pub(in crate::engine::postgresql) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hostile_names_and_values() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'"), "E'a\\\\'''");
    }

    #[test]
    fn lists_of_names_are_given_item_by_item() {
        assert_eq!(
            list_items("\"$user\", public, \"a,\"\"b\""),
            ["$user", "public", "a,\"b"]
        );
        assert_eq!(list_items("\"\""), [""]);
        let setting = Setting {
            role: Some("ann".into()),
            in_database: false,
            name: "search_path".into(),
            value: "\"$user\", public".into(),
        };
        assert_eq!(
            set_statement(&setting, None),
            "ALTER ROLE \"ann\" SET \"search_path\" TO '$user', 'public'"
        );
    }

    #[test]
    fn options_of_memberships_follow_the_version() {
        let old = Membership {
            role: "r".into(),
            member: "m".into(),
            admin: true,
            ..Membership::default()
        };
        assert_eq!(grant(&old), "GRANT \"r\" TO \"m\" WITH ADMIN OPTION");
        let new = Membership {
            admin: false,
            inherit: Some(true),
            set: Some(false),
            ..old
        };
        assert_eq!(
            grant(&new),
            "GRANT \"r\" TO \"m\" WITH ADMIN false, INHERIT true, SET false"
        );
    }
}
