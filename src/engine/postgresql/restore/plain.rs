//! Loading a plain SQL dump: through `psql`, but not whatever it says.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use super::{Restore, classify, escaped};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::archive::plain,
    process::Launch,
};

/// Loads the dump; gives every error that the server had.
///
/// # Errors
/// If the dump holds a command for `psql` itself, or the machinery breaks.
pub(super) async fn load(restore: &Restore<'_>, path: &Path) -> Result<Vec<Finding>, Failure> {
    let cluster = &restore.started.cluster;
    let program = cluster.bin_directory.join("psql");
    let launch = Launch::new(&program)
        .args([
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--output=/dev/null",
        ])
        .args(restore.connection())
        .arg(format!("--dbname=dbname='{}'", escaped(&cluster.database)))
        .directory("/")
        .with_stdin();
    let mut running = restore.clients().start(launch)?;
    let stdin = running.child.stdin.take();
    let fed = feed(path, stdin).await;
    let (status, stderr) = running.wait(&restore.cx.cancel).await?;
    fed?;
    let findings = errors(&stderr);
    if !status.success() && findings.is_empty() {
        return Err(
            Failure::new(FailureKind::Internal, format!("psql ended with {status}"))
                .diagnosis(stderr),
        );
    }
    Ok(findings)
}

/// `psql:<stdin>:12: ERROR:  …`
fn errors(stderr: &[String]) -> Vec<Finding> {
    let lines: Vec<String> = stderr
        .iter()
        .filter_map(|line| {
            line.split_once("ERROR:")
                .map(|(_, rest)| format!("ERROR:{rest}"))
        })
        .collect();
    classify::errors(&lines, "ERROR:")
}

/// Passes the dump on line by line. Data of COPY passes as it is; outside of
/// it a line that begins with a backslash is a command for `psql` and may
/// start a program, so only the harmless ones that `pg_dump` writes pass.
async fn feed(path: &Path, stdin: Option<tokio::process::ChildStdin>) -> Result<(), Failure> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    let (mut content, _) = plain::open(path).await?;
    let mut line = Vec::new();
    let mut number = 0_u64;
    let mut copying = false;
    loop {
        line.clear();
        let read = content.read_until(b'\n', &mut line).await;
        if read.map_err(|error| plain::damaged(path, &error))? == 0 {
            break;
        }
        number += 1;
        if copying {
            copying = line.trim_ascii_end() != b"\\.";
        } else if line.starts_with(b"\\") {
            refuse_unless_harmless(&line, number)?;
        } else {
            copying = line.starts_with(b"COPY ") && line.trim_ascii_end().ends_with(b"FROM stdin;");
        }
        if stdin.write_all(&line).await.is_err() {
            // It ended; what it said on standard error tells why.
            break;
        }
    }
    Ok(())
}

fn refuse_unless_harmless(line: &[u8], number: u64) -> Result<(), Failure> {
    let command = line
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    if matches!(command, b"\\restrict" | b"\\unrestrict") {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::BadBackup,
        format!(
            "line {number} of the dump is the psql command {}, which pg_dump does not write",
            String::from_utf8_lossy(command)
        ),
    ))
}
