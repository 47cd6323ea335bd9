//! Running programs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::abort;

/// Runs a program to its end; an error with what it said if that is a bad one.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command.stdout(Stdio::null())).map(drop)
}

/// Runs a program to its end and gives what it printed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    if abort::is_stopped() {
        bail!("stopped on request");
    }
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {said}", program.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `program` as user `postgres`.
pub fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program)
        .current_dir("/");
    command
}

/// Gives a directory to user `postgres`.
pub fn hand_over(path: &Path) -> anyhow::Result<()> {
    run(Command::new("chown").arg("postgres:").arg(path))
}

/// The real binary with a state directory.
pub struct Lifeboat {
    pub state: PathBuf,
}

impl Lifeboat {
    pub fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// The binary with arguments.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.arg("--state-dir").arg(&self.state).args(args);
        command
    }

    /// Writes a drill file.
    pub fn drill(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.state.join(format!("{name}.yaml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs a drill, which has to pass.
    pub fn run(&self, drill: &Path) -> anyhow::Result<()> {
        run(self.command(["run"]).arg(drill))
    }
}
