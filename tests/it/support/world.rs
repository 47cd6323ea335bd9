//! A world of its own for a test: a state directory, a source and drills, and
//! the real binary, looked at for anything that it leaves behind.

use std::{
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{counts::all_are_counted, until};

/// What is drilled.
pub trait Source {
    /// The `workload` of a drill file.
    fn workload(&self) -> String;

    /// All it holds: two texts differ where anything was changed.
    fn content(&self) -> String;

    /// What a run has open at the source, such as sessions.
    fn guests(&self) -> Vec<String>;
}

pub struct World<S> {
    pub source: S,
    /// A database with the history, instead of the state directory's file.
    pub history: Option<String>,
    /// The program.
    pub binary: PathBuf,
    place: tempfile::TempDir,
}

impl<S: Source> World<S> {
    /// A world with the drill `app`.
    pub fn new(make: impl FnOnce(&Path) -> S) -> Self {
        let place = tempfile::tempdir().unwrap();
        // The scratch servers' user passes through.
        let pass = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(place.path(), pass).unwrap();
        let world = Self {
            source: make(place.path()),
            history: None,
            binary: env!("CARGO_BIN_EXE_lifeboat").into(),
            place,
        };
        world.drill("app", "");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The text of a drill; `more` is the rest of its `spec`.
    pub fn document(&self, name: &str, more: &str) -> String {
        format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\n\
             spec:\n  workload: {}\n{more}",
            self.source.workload()
        )
    }

    /// Writes a drill file, or writes it anew.
    pub fn drill(&self, name: &str, more: &str) -> PathBuf {
        let path = self.path(&format!("{name}.yaml"));
        std::fs::write(&path, self.document(name, more)).unwrap();
        path
    }

    /// The binary, with results as JSON.
    pub fn lifeboat(&self, args: &[&str]) -> Command {
        let mut command = self.lifeboat_for_people(&["--output", "json"]);
        command.args(args);
        command
    }

    /// The binary, with results as text.
    pub fn lifeboat_for_people(&self, args: &[&str]) -> Command {
        self.lifeboat_in("state", args)
    }

    /// The binary, with a state directory of that name.
    pub fn lifeboat_in(&self, state: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--state-dir").arg(self.path(state));
        if let Some(history) = &self.history {
            command.args(["--history", history]);
        }
        command.arg("--quiet").args(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The scratch directories that are there.
    pub fn scratch(&self) -> Vec<String> {
        entries(&self.path("state/scratch"))
    }

    /// Runs the drill `app`.
    pub fn run_drill(&self) -> Command {
        let file = self.path("app.yaml").display().to_string();
        self.lifeboat(&["run", &file])
    }

    /// The files of the state directory.
    pub fn state_files(&self) -> Vec<PathBuf> {
        let state = self.path("state");
        let names = entries(&state).into_iter();
        names
            .map(|name| state.join(name))
            .filter(|path| path.is_file())
            .collect()
    }

    /// Every run in the history, newest first.
    pub fn runs(&self) -> Vec<Value> {
        let output = self
            .lifeboat(&["runs", "--limit", "5000"])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn sweep(&self) {
        let sweep = self.lifeboat(&["sweep"]).output().unwrap();
        assert!(sweep.status.success(), "{}", text(&sweep));
    }

    /// Nothing of any run is there: no directory or socket, no process, no
    /// session at the source.
    pub fn is_empty(&self) {
        assert_eq!(self.scratch(), [""; 0]);
        assert_eq!(processes_at(self.place.path()), [""; 0]);
        until("the source is left alone", || {
            self.source.guests().is_empty()
        });
    }

    /// After a sweep, nothing is left and every run has its result.
    pub fn is_clean(&self, expected_runs: usize) {
        self.sweep();
        self.is_empty();
        let runs = self.runs();
        assert_eq!(runs.len(), expected_runs, "one record per run that began");
        for run in &runs {
            assert_eq!(run["cleanup"]["state"], "clean", "{run}");
            assert!(
                run["verdict"].is_string() && run["finished_at"].is_string(),
                "{run}"
            );
            for made in run["resources"].as_array().into_iter().flatten() {
                assert!(
                    made["gone_us"].as_u64() >= made["intended_us"].as_u64(),
                    "{run}"
                );
            }
            assert_eq!(labelled(run["id"].as_str().unwrap()), [""; 0]);
        }
        if self.history.is_none() {
            all_are_counted(&self.path("state/history.db"), &runs);
        }
    }

    /// Waits until a run has begun to make something.
    pub fn until_running(&self) {
        until("the run began", || !self.scratch().is_empty());
    }
}

impl<S> Drop for World<S> {
    fn drop(&mut self) {
        // A test that failed leaves no server running.
        for process in processes_at(self.place.path()) {
            let pid = process.split([':', '/']).nth(2).unwrap_or_default();
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
    }
}

/// A small SQLite database.
pub struct SqliteFile(PathBuf);

impl SqliteFile {
    pub fn make(place: &Path) -> Self {
        let file = place.join("app.db");
        let source = rusqlite::Connection::open(&file).unwrap();
        source
            .execute_batch(
                "create table t (id integer primary key, v text, note text); \
                 insert into t values (1, 'a', 'x'), (2, 'b', 'y'); create index i on t (v);",
            )
            .unwrap();
        Self(file)
    }
}

impl Source for SqliteFile {
    fn workload(&self) -> String {
        "{ sqlite: { file: app.db } }".to_owned()
    }

    fn content(&self) -> String {
        format!("{:?}", std::fs::read(&self.0).unwrap())
    }

    fn guests(&self) -> Vec<String> {
        // A lock that a run left would keep this from being written.
        let source = rusqlite::Connection::open(&self.0).unwrap();
        let locked = source.execute_batch("begin exclusive; rollback");
        locked
            .err()
            .map(|error| error.to_string())
            .into_iter()
            .collect()
    }
}

/// The binary, run by a user who owns nothing.
pub fn as_nobody(args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_lifeboat"))
        .args(["--output", "json"])
        .args(args);
    command
}

pub fn text(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    parts.join("\n")
}

/// The record that `lifeboat run` of one drill printed.
pub fn record(output: &Output) -> Value {
    let records: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(output)));
    records[0].clone()
}

/// What a failed run tells.
#[derive(Debug)]
pub struct Failed {
    pub message: String,
    pub hint: String,
}

/// A run that could not come to its end, said so with what to do, and gave
/// everything back.
pub fn failed(output: &Output, step: &str, kind: &str) -> Failed {
    assert_eq!(output.status.code(), Some(3), "{}", text(output));
    let record = record(output);
    let failure = &record["failure"];
    assert_eq!(record["verdict"], "inconclusive");
    assert_eq!(record["cleanup"]["state"], "clean");
    assert_eq!(
        [&failure["step"], &failure["kind"]],
        [step, kind],
        "{failure:#}"
    );
    let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
    Failed {
        message: text("message"),
        hint: text("hint"),
    }
}

pub fn killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}

pub fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// Kills a child after some time, if it is still there by then.
pub fn kill_after(child: &mut Child, time: Duration) {
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The processes that carry a run's label.
pub fn labelled(run: &str) -> Vec<String> {
    let label = format!("LIFEBOAT_RUN={run}");
    processes(|process| {
        std::fs::read(process.join("environ")).is_ok_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == label.as_bytes())
        })
    })
}

/// The processes that work in `place`, or name it in their arguments: servers
/// write their title over their environment.
pub fn processes_at(place: &Path) -> Vec<String> {
    let name = place.display().to_string();
    processes(|process| {
        std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(place))
            || std::fs::read(process.join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&name))
    })
}

fn processes(ours: impl Fn(&Path) -> bool) -> Vec<String> {
    let pids = entries(Path::new("/proc"))
        .into_iter()
        .filter(|name| name.parse::<u32>().is_ok() && *name != std::process::id().to_string());
    pids.map(|pid| Path::new("/proc").join(pid))
        .filter(|process| ours(process))
        .map(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            format!(
                "{}: {}",
                process.display(),
                String::from_utf8_lossy(&command)
            )
        })
        .collect()
}
