//! Killed at any instant, it recovers: nothing is left, nothing is lost, and
//! the source is as it was. Runs the real binary.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

/// More instants than a run has.
const MOST_POINTS: u32 = 200;

/// A state directory of its own, a source and a drill.
struct World {
    place: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let source = rusqlite::Connection::open(place.path().join("app.db")).unwrap();
        source
            .execute_batch(
                "create table t (id integer primary key, v text); \
                 insert into t values (1, 'a'), (2, 'b'); create index i on t (v);",
            )
            .unwrap();
        let world = Self { place };
        world.drill("app", "");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn drill(&self, name: &str, more: &str) {
        let text = format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\n\
             spec:\n  workload: {{ sqlite: {{ file: app.db }} }}\n{more}"
        );
        std::fs::write(self.path(&format!("{name}.yaml")), text).unwrap();
    }

    fn lifeboat(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.arg("--state-dir").arg(self.path("state"));
        command.args(["--quiet", "--output", "json"]).args(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run_drill(&self) -> Command {
        let file = self.path("app.yaml").display().to_string();
        self.lifeboat(&["run", &file])
    }

    fn source(&self) -> Vec<u8> {
        std::fs::read(self.path("app.db")).unwrap()
    }

    fn runs(&self) -> Vec<Value> {
        let output = self
            .lifeboat(&["runs", "--limit", "5000"])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// After a sweep, nothing is left and every run has its result.
    fn is_clean(&self, expected_runs: usize) {
        let sweep = self.lifeboat(&["sweep"]).output().unwrap();
        assert!(sweep.status.success(), "{}", text(&sweep));
        assert_eq!(entries(&self.path("state/scratch")), Vec::<String>::new());
        let runs = self.runs();
        assert_eq!(runs.len(), expected_runs, "one record per run that began");
        for run in &runs {
            assert_eq!(run["cleanup"]["state"], "clean", "{run}");
            assert!(
                run["verdict"].is_string() && run["finished_at"].is_string(),
                "{run}"
            );
            assert!(
                labelled(run["id"].as_str().unwrap()).is_empty(),
                "a process is left"
            );
        }
    }
}

fn text(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    parts.join("\n")
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// The processes that carry a run's label.
fn labelled(run: &str) -> Vec<String> {
    let label = format!("LIFEBOAT_RUN={run}");
    let holds = |pid: &String| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == label.as_bytes())
        })
    };
    entries(Path::new("/proc"))
        .into_iter()
        .filter(holds)
        .collect()
}

fn killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}

#[test]
fn killed_at_every_point_it_recovers() {
    let world = World::new();
    let before = world.source();
    let mut began = 0;
    for point in 1..=MOST_POINTS {
        let output = world
            .run_drill()
            .env("LIFEBOAT_TEST_KILL_AT", point.to_string())
            .output()
            .unwrap();
        began += 1;
        world.is_clean(began);
        assert_eq!(world.source(), before, "the source was changed");
        if !killed(&output) {
            assert!(output.status.success(), "{}", text(&output));
            assert!(point > 30, "only {point} instants were seen");
            let verdicts: Vec<Value> = world.runs().iter().map(|r| r["verdict"].clone()).collect();
            assert!(verdicts.contains(&"inconclusive".into()), "{verdicts:?}");
            return;
        }
    }
    panic!("a run has more than {MOST_POINTS} instants");
}

#[test]
fn killed_while_it_recovers_it_recovers() {
    for first in [8, 20] {
        for second in 1..=MOST_POINTS {
            let world = World::new();
            let run = world
                .run_drill()
                .env("LIFEBOAT_TEST_KILL_AT", first.to_string())
                .output()
                .unwrap();
            assert!(killed(&run), "{}", text(&run));
            let sweep = world
                .lifeboat(&["sweep"])
                .env("LIFEBOAT_TEST_KILL_AT", second.to_string())
                .output()
                .unwrap();
            world.is_clean(1);
            if !killed(&sweep) {
                assert!(second > 3, "only {second} instants were seen");
                break;
            }
        }
    }
}

#[test]
fn two_drills_at_once_do_not_mind_each_other() {
    let world = World::new();
    world.drill("other", "");
    let other = world.path("other.yaml").display().to_string();
    let children = [world.run_drill(), world.lifeboat(&["run", &other])]
        .map(|mut command| command.spawn().unwrap());
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    world.is_clean(2);
}

#[test]
fn a_drill_that_is_running_is_not_run_again() {
    let world = World::new();
    world.drill("app", SLOW);
    let first = world.run_drill().spawn().unwrap();
    until_running(&world);
    let second = world.run_drill().output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(
        text(&second).contains("drill app is already running"),
        "{}",
        text(&second)
    );
    interrupt(&first);
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(3));
    world.is_clean(1);
}

#[test]
fn ctrl_c_gives_everything_back() {
    let world = World::new();
    world.drill("app", SLOW);
    let child = world.run_drill().spawn().unwrap();
    until_running(&world);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert_eq!(entries(&world.path("state/scratch")), Vec::<String>::new());
    assert_eq!(world.runs()[0]["failure"]["kind"], "cancelled");
    world.is_clean(1);
}

/// A check that does not end by itself.
const SLOW: &str = "  checks:\n    queries:\n    - { name: slow, expect: some rows, sql: \
    \"with recursive c(x) as (select 1 union all select x + 1 from c where x < 1e12) \
    select count(*) from c\" }\n";

fn until_running(world: &World) {
    for _ in 0..500 {
        if !entries(&world.path("state/scratch")).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the run did not begin");
}

fn interrupt(child: &std::process::Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

fn kills_at_random(count: u32) {
    let world = World::new();
    let before = world.source();
    for _ in 0..count {
        let mut child = world.run_drill().spawn().unwrap();
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let sweep = world.lifeboat(&["sweep"]).output().unwrap();
        assert!(sweep.status.success(), "{}", text(&sweep));
        assert_eq!(entries(&world.path("state/scratch")), Vec::<String>::new());
    }
    world.is_clean(world.runs().len());
    assert_eq!(world.source(), before, "the source was changed");
}

#[test]
fn twenty_kills_at_random_leave_nothing() {
    kills_at_random(20);
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn a_thousand_kills_at_random_leave_nothing() {
    kills_at_random(1000);
}
