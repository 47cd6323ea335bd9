//! A database with one object of every class, and its copy by dump and
//! restore: made once for all tests, which must not change them for good.

use std::{process::Command, sync::LazyLock};

use super::postgres::{SERVER, Server};

/// Makes the schema in an empty database.
pub const SCHEMA: &str = include_str!("rich_schema.sql");

/// Names of two databases of [`SERVER`].
pub struct Pair {
    pub source: String,
    pub copy: String,
}

/// The source and its copy.
pub static RICH: LazyLock<Pair> = LazyLock::new(|| {
    let source = SERVER.database();
    SERVER.psql(&source, SCHEMA);
    let copy = copy_of(&SERVER, &source);
    Pair { source, copy }
});

/// A new database, filled by `pg_dump` and `pg_restore`.
pub fn copy_of(server: &Server, source: &str) -> String {
    copy_to(server, server, source)
}

/// The same, on another server.
pub fn copy_to(from: &Server, to: &Server, source: &str) -> String {
    let copy = to.database();
    let dump = to.directory.join(format!("{copy}.dump"));
    let tool = |server: &Server, name: &str| {
        let mut command = Command::new(server.binaries.join(name));
        command
            .args(["-U", "postgres", "-h"])
            .arg(&server.directory);
        command
    };
    if !std::ptr::eq(from, to) {
        // A dump of one database does not bring its roles.
        let roles = ["shop_owner", "reporting", "\"Ann O'Hara\""];
        let roles = roles.map(|role| format!("create role {role}")).join(";");
        to.psql("postgres", &roles);
    }
    let mut commands = [tool(from, "pg_dump"), tool(to, "pg_restore")];
    commands[0].args(["-Fc", "-f"]).arg(&dump).arg(source);
    commands[1].args(["-d", &copy]).arg(&dump);
    for mut command in commands {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {told}");
    }
    copy
}
