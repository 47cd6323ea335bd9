//! Making an empty cluster.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path};

use std::io::Write;

use super::{Layout, SUPERUSER, file_failure, hand_over, lost::FULL, settings::Plan};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{
        Context,
        postgresql::{
            PostgresEngine,
            error::{full, tells_no_space},
            tools::ToolSet,
        },
    },
    process::{Account, Launch},
};

/// Nobody but who can enter the socket's directory gets in.
const HBA: &str = "local all all trust\n";

/// Runs `initdb`, not fenced: it runs `postgres` through a shell, and nothing
/// of the backup is there yet. The encoding and locale are this cluster's own;
/// the restored database brings its own from `template0`.
pub(super) async fn initdb(
    engine: &PostgresEngine,
    cx: &Context,
    set: &ToolSet,
    layout: &Layout,
) -> Result<(), Failure> {
    let program = set.program("initdb");
    let launch = Launch::new(&program)
        .args(["--no-sync", "--data-checksums", "--auth=trust"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8"])
        .arg(format!("--username={SUPERUSER}"))
        .arg("-D")
        .arg(&layout.data)
        .directory(&layout.root);
    let finished = engine.launcher.run(launch, &cx.cancel).await?;
    let no_room = finished.stderr.iter().any(|l| tells_no_space(l));
    finished.success(&program).map(drop).map_err(|mut failure| {
        if !no_room {
            return failure;
        }
        failure.kind = FailureKind::Exhausted;
        full(failure.context(FULL), &layout.root)
    })
}

/// Writes the settings and who may connect.
pub(super) fn configure(
    layout: &Layout,
    plan: &Plan,
    account: Option<Account>,
) -> Result<(), Failure> {
    let mut lines = String::new();
    for (name, value) in &plan.settings {
        lines.extend([
            name.as_str(),
            " = ",
            &quoted(value),
            "
",
        ]);
    }
    write(&layout.data.join("postgresql.auto.conf"), &lines, account)?;
    write(&layout.data.join("pg_hba.conf"), HBA, account)
}

fn write(path: &Path, text: &str, account: Option<Account>) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| file_failure(&error, "write", path))?;
    hand_over(path, account)
}

/// As a configuration file wants a string; a line end would begin another
/// setting.
fn quoted(value: &str) -> String {
    let value = value.replace(['\n', '\r', '\0'], " ");
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        assert_eq!(
            quoted("a'b\\c\narchive_mode = on"),
            "'a''b\\\\c archive_mode = on'"
        );
    }
}
