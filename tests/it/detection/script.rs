//! The script that a user has today, run on the very same spoilt backup or
//! copy.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use lifeboat::engine::postgresql::endpoint::ScratchCluster;

use super::change;
use crate::support::postgres::{BINARIES, Server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/detection/drill.sh");

/// How long it may take before it is said never to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Every exit status was 0.
    Ok,
    Fails,
    NeverEnds,
}

/// A whole drill of a backup, on that server or on one that the script makes.
pub async fn backup(folder: &Path, server: Option<&ScratchCluster>) -> Says {
    let mut command = script();
    if let Some(server) = server {
        command
            .env("PGHOST", &server.socket_directory)
            .env("PGPORT", server.port.to_string())
            .env("PGUSER", &server.superuser);
    }
    command
        .arg(change::backup(folder))
        .arg(folder.join("globals.sql"));
    run(command).await
}

/// The checks alone, of a copy that is there.
pub async fn copy(cluster: &ScratchCluster) -> Says {
    let mut command = script();
    command
        .arg("--copy")
        .env("PGHOST", &cluster.socket_directory)
        .env("PGPORT", cluster.port.to_string())
        .env("PGUSER", &cluster.superuser)
        .env("PGDATABASE", &cluster.database);
    run(command).await
}

fn script() -> Command {
    let mut command = Command::new("setpriv");
    command
        .env("BINARIES", BINARIES)
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        // `timeout` takes what it runs along when it ends it.
        .args(["timeout", "--kill-after=5", &PATIENCE.as_secs().to_string()])
        .args(["sh", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

async fn run(mut command: Command) -> Says {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    match output.status.code() {
        Some(0) => Says::Ok,
        Some(124 | 137) => Says::NeverEnds,
        _ => Says::Fails,
    }
}

/// A dump as a user makes it.
pub fn dump(server: &Server, database: &str, args: &[&str], path: &Path) {
    let mut command = tool(server, "pg_dump");
    for arg in args {
        match arg.strip_prefix("PGOPTIONS=") {
            Some(options) => command.env("PGOPTIONS", options),
            None => command.arg(arg),
        };
    }
    command.arg("--file").arg(path).arg(database);
    finish(command);
}

/// The server's roles, as a user keeps them beside the dump.
pub fn globals(server: &Server, path: &Path) {
    let mut command = tool(server, "pg_dumpall");
    command.arg("--globals-only").arg("--file").arg(path);
    finish(command);
}

fn tool(server: &Server, name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(server.binaries.join(name))
        .args(["--username=postgres", "--host"])
        .arg(&server.directory)
        .current_dir("/");
    command
}

fn finish(mut command: Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}
