//! `lifeboat serve`, the real binary, and who asks it.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    asking::{Answer, ask, open},
    until,
    world::{Source, World, signal},
};

/// A service, killed when it is dropped.
pub struct Served {
    child: Child,
    log: PathBuf,
    pub address: String,
    pub token: Option<String>,
}

impl Served {
    /// Serves the drills of a world, and waits until it answers.
    pub fn start<S: Source>(world: &World<S>, more: &[&str]) -> Self {
        Self::start_in(world, "state", more)
    }

    /// With a state directory of that name.
    pub fn start_in<S: Source>(world: &World<S>, state: &str, more: &[&str]) -> Self {
        Self::start_with(world, state, more, &[])
    }

    /// With variables of the environment, too.
    pub fn start_with<S: Source>(
        world: &World<S>,
        state: &str,
        more: &[&str],
        named: &[(&str, String)],
    ) -> Self {
        let log = world.path(&format!("serve-{state}.log"));
        let mut command = world.lifeboat_in(state, &["serve"]);
        command
            .arg(world.path("drills"))
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .envs(named.iter().map(|(name, value)| (name, value)));
        Self::by(command, log)
    }

    /// By a command of one's own, whose log goes to a file.
    pub fn by(command: Command, log: PathBuf) -> Self {
        let mut served = Self::spawned(command, log);
        until("the service answers", || {
            assert!(
                served.child.try_wait().unwrap().is_none(),
                "{}",
                served.log()
            );
            let log = served.log();
            // As text or as JSON.
            let marks = ["address=", "\"address\":\""];
            let rest = marks.iter().find_map(|mark| log.split(mark).nth(1));
            let whole = rest.and_then(|rest| rest.split_once('\n'));
            whole.is_some_and(|(line, _)| {
                let address = line.split(['"', ' ']).next().unwrap();
                address.clone_into(&mut served.address);
                true
            })
        });
        served
    }

    /// One whose log does not say where it is.
    pub fn start_quiet<S: Source>(world: &World<S>, more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut command = world.lifeboat_in("state", &["serve"]);
        command
            .arg(world.path("drills"))
            .args(["--listen", &address])
            .args(more);
        let mut served = Self::spawned(command, world.path("serve-quiet.log"));
        served.address = address;
        until("the service answers", || {
            ask(&served.address, "GET", "/livez", &[]).is_some()
        });
        served
    }

    fn spawned(mut command: Command, log: PathBuf) -> Self {
        let child = command
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::null());
        Self {
            child: child.spawn().unwrap(),
            log,
            address: String::new(),
            token: None,
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Status and body of an answer.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        self.ask_with(method, path, &[])
    }

    /// The same, with headers.
    pub fn ask_with(&self, method: &str, path: &str, more: &[(&str, &str)]) -> (u16, String) {
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let token = token.iter().map(|token| ("authorization", token.as_str()));
        let headers: Vec<_> = token.chain(more.iter().copied()).collect();
        let answer = ask(&self.address, method, path, &headers);
        answer.unwrap_or_else(|| panic!("nobody answers: {}", self.log()))
    }

    /// Begins to listen to the events of a run.
    pub fn follow(&self, run: &str) -> Answer {
        let path = format!("/api/v1/runs/{run}/events");
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let token = token.iter().map(|token| ("authorization", token.as_str()));
        let headers: Vec<_> = token.collect();
        let answer = open(&self.address, ("GET", &path), &headers, "");
        answer.unwrap_or_else(|| panic!("nobody answers: {}", self.log()))
    }

    /// Asks for a run of a drill; gives its id.
    pub fn promised(&self, drill: &str) -> String {
        let (status, body) = self.ask("POST", &format!("/api/v1/drills/{drill}/runs"));
        assert_eq!(status, 202, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["run"].as_str().unwrap().to_owned()
    }

    /// The JSON of an answer that must be good.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The value of a metric's series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (status, page) = self.ask("GET", "/metrics");
        assert_eq!(status, 200, "{page}");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// What its metrics tell of runs, and not of itself.
    pub fn of_runs(&self) -> Vec<String> {
        let (_, page) = self.ask("GET", "/metrics");
        let own = ["sweep", "start_lag", "history_seconds", "catching_up"];
        let lines = page
            .lines()
            .filter(|line| !own.iter().any(|name| line.contains(name)));
        lines.map(str::to_owned).collect()
    }

    pub fn signal(&self, with: Signal) {
        signal(&self.child, with);
    }

    /// Asks it to stop; gives its exit status.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap().code()
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a drill of the world's source that runs by a schedule.
pub fn scheduled<S: Source>(world: &World<S>, name: &str, cron: &str) -> PathBuf {
    with_schedule(world, name, &format!("cron: '{cron}'"), "")
}

/// The same, with all that its schedule says, and the rest of its `spec`.
pub fn with_schedule<S: Source>(
    world: &World<S>,
    name: &str,
    schedule: &str,
    more: &str,
) -> PathBuf {
    let more = format!("  schedule: {{ {schedule} }}\n{more}");
    let text = world.document(name, &more);
    // It stands a folder deeper.
    let text = text.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), &format!("{name}.yaml"), &text)
}

/// A new token and its line for the file of tokens.
pub fn token<S: Source>(world: &World<S>, args: &[&str]) -> (String, String) {
    let all = [&["token"], args].concat();
    let made = world.lifeboat_for_people(&all).output().unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    let token = said.trim().rsplit(' ').next().unwrap().to_owned();
    (token, String::from_utf8(made.stdout).unwrap())
}

/// Puts a file into a folder at once, as an editor does.
pub fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let (draft, path) = (folder.join(".draft"), folder.join(name));
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, &path).unwrap();
    path
}
