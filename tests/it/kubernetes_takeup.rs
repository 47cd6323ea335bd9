//! A copy in a cluster goes on by itself when the service dies: whoever comes next
//! takes its run up, with the times at which things happened. Runs the real binary
//! on a fake of a cluster.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use lifeboat::{
    agent::protocol::{Line, Said},
    domain::{event::EventKind, record::RunRecord, timeline::Milestone, verdict::Verdict},
};
use nix::sys::signal::Signal;
use tokio::task::block_in_place;

use crate::{
    kubernetes_drill::Scene,
    support::{
        asking,
        kubernetes::{Effect, Pace, Rule, pods, world::From},
        postgres::{BINARIES, SERVER, Server},
        served::Served,
        until,
    },
};

/// Part of what a run says that was taken up.
const TAKEN_UP: &str = "its process was gone and another one took it up";

fn slow(verify: Duration) -> Pace {
    Pace {
        agent: Duration::from_millis(150),
        verify,
        ..Pace::default()
    }
}

/// A service of a scene's drill; `more` is of its command line.
fn command(scene: &Scene, state: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command
        .arg("--state-dir")
        .arg(scene.directory.path().join(state))
        .arg("--quiet")
        .args(more)
        .arg("serve")
        .arg(&scene.file)
        .args(["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn log(scene: &Scene, name: &str) -> PathBuf {
    scene.directory.path().join(format!("{name}.log"))
}

fn serve(scene: &Scene, name: &str) -> Served {
    Served::by(command(scene, "state", &[]), log(scene, name))
}

/// Asks for a run; gives its id.
fn ask(served: &Served) -> String {
    let (status, body) = served.ask("POST", "/api/v1/drills/shop/runs");
    assert_eq!(status, 202, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    answer["run"].as_str().unwrap().to_owned()
}

/// None where it does not live any more, too.
fn record(served: &Served, run: &str) -> Option<RunRecord> {
    let path = format!("/api/v1/runs/{run}");
    let (status, body) = asking::ask(&served.address, "GET", &path, &[])?;
    (status == 200).then(|| serde_json::from_str(&body).unwrap())
}

fn ended(served: &Served, run: &str) -> RunRecord {
    let mut last = None;
    until("the run has ended", || {
        last = record(served, run).filter(|record| record.finished_at.is_some());
        last.is_some()
    });
    last.unwrap()
}

fn until_started(served: &Served, run: &str) {
    until("the copy is started", || {
        let steps = record(served, run).map(|record| record.steps);
        steps.is_some_and(|steps| {
            let started = |step: &&lifeboat::domain::record::StepRecord| {
                step.step.name() == "start" && step.elapsed_us.is_some()
            };
            steps.iter().find(started).is_some()
        })
    });
}

/// A run whose service dies as soon as its copy is started.
fn orphan(scene: &Scene) -> String {
    let mut first = serve(scene, "first");
    let run = ask(&first);
    until_started(&first, &run);
    first.kill();
    run
}

fn is_taken_up(record: &RunRecord) -> bool {
    record.notes.iter().any(|note| note.contains(TAKEN_UP))
}

fn until_taken_up(served: &Served, run: &str) {
    until("it is taken up", || {
        is_taken_up(&record(served, run).unwrap())
    });
}

/// What the agent of the copy has said.
fn said(scene: &Scene) -> Vec<Line> {
    let state = scene.fake.inner.state();
    let of_copy = |(_, pod, container): &&(String, String, String)| {
        container == pods::AGENT && pod.contains("db-0")
    };
    let copy = state.logs.keys().find(of_copy);
    let lines = copy.map(|copy| state.logs[copy].texts());
    let lines = lines.unwrap_or_default().into_iter();
    lines
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect()
}

/// When the agent said that a milestone was reached, by its own clock.
fn at(lines: &[Line], wanted: Milestone) -> u64 {
    let is_it = |line: &&Line| matches!(&line.said, Said::Event(EventKind::Reached { milestone }) if *milestone == wanted);
    lines.iter().find(is_it).unwrap().us
}

/// Killed as soon as the copy has begun, and started again after all of its work
/// is done.
async fn taken_up(from: From) {
    let scene = Scene::new(from, slow(Duration::from_millis(5))).await;
    block_in_place(|| {
        let run = orphan(&scene);
        until("the agent has said everything", || {
            let verified = |line: &Line| matches!(&line.said, Said::Done(done) if done.step().is_some_and(|step| step.name() == "verify"));
            said(&scene).iter().any(verified)
        });
        let lines = said(&scene);
        // For longer than all of the recovery.
        std::thread::sleep(Duration::from_secs(3));
        let second = serve(&scene, "second");
        let record = ended(&second, &run);

        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
        assert!(!record.interrupted);
        assert!(is_taken_up(&record), "{record:#?}");
        // The very times of the agent, and none of the time without a service.
        let reached = |milestone| record.timeline.get(milestone).unwrap().offset_us;
        let (first, last) = (Milestone::Accepting, Milestone::Serving);
        assert_eq!(
            reached(last) - reached(first),
            at(&lines, last) - at(&lines, first)
        );
        let rto = record.rto.measured_ms.unwrap();
        let recovery = reached(last) - reached(Milestone::Declared);
        assert_eq!(rto, recovery / 1_000);
        // How late that was learnt is told beside it.
        let verified = record.timeline.get(Milestone::Verified).unwrap();
        assert!(verified.lag_us >= 3_000_000, "{verified:?}");
        assert!(reached(Milestone::Released) >= verified.offset_us + verified.lag_us);
        let fence = record.restore.unwrap().fence;
        assert!(fence.attempts.iter().all(|attempt| attempt.prevented));
        let tried = |pod: Option<&str>| {
            let mut attempts = fence.attempts.iter();
            attempts.any(|attempt| attempt.from.as_deref() == pod)
        };
        // What was tried before is not forgotten.
        assert!(tried(None), "{fence:#?}");
        assert_eq!(
            tried(Some("lifeboat-dump")),
            from == From::Dump,
            "{fence:#?}"
        );
        scene.is_clean("taken up");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_snapshot_goes_on_without_a_service() {
    taken_up(From::Snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_dump_goes_on_without_a_service() {
    taken_up(From::Dump).await;
}

/// Without the copy there is nothing to take up.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_gone_is_not_taken_up() {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_mins(1))).await;
    block_in_place(|| {
        let run = orphan(&scene);
        let pod = scene.fake.of_runs().into_iter();
        let pod = pod.filter(|key| key.kind == lifeboat::k8s::Kind::Pod);
        for pod in pod {
            scene.fake.inner.state().store.remove(&pod);
        }
        let second = serve(&scene, "second");
        let record = ended(&second, &run);
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
        assert!(record.interrupted);
        let note = "its copy could not be taken up: ";
        assert!(
            record.notes.iter().any(|one| one.starts_with(note)),
            "{record:#?}"
        );
        scene.is_clean("gone");
    });
}

/// Whoever asks for its end is heard by the process that took it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_taken_up_can_be_cancelled() {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_mins(1))).await;
    block_in_place(|| {
        let run = orphan(&scene);
        let second = serve(&scene, "second");
        until_taken_up(&second, &run);
        let drill = second.get("/api/v1/drills/shop");
        assert_eq!(drill["state"], "running", "{drill:#}");
        let (status, body) = second.ask("POST", &format!("/api/v1/runs/{run}/cancel"));
        assert_eq!(status, 202, "{body}");
        let record = ended(&second, &run);
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
        scene.is_clean("cancelled");
    });
}

/// Lets one service after the other kill itself at such an instant, and the last
/// one live. Whether the run was taken up, and whether the first one died at all.
async fn killed_at(instants: [u32; 2]) -> (bool, bool) {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_millis(500))).await;
    let what = format!("killed at {instants:?}");
    block_in_place(|| {
        let mut first = command(&scene, "state", &[]);
        first.env("LIFEBOAT_TEST_KILL_AT", instants[0].to_string());
        let mut first = Served::by(first, log(&scene, "first"));
        let run = ask(&first);
        let mut died = false;
        until("it dies or the run ends", || {
            died = first.ended().is_some();
            died || record(&first, &run).is_some_and(|record| record.finished_at.is_some())
        });
        drop(first);
        let mut second = command(&scene, "state", &[]);
        second.env("LIFEBOAT_TEST_KILL_AT", instants[1].to_string());
        let mut second = second.stderr(Stdio::null()).spawn().unwrap();
        // It does not, where it has little to do.
        for _ in 0..200 {
            if second.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        second.kill().unwrap();
        second.wait().unwrap();
        let third = serve(&scene, "third");
        let runs = || {
            third.get("/api/v1/runs")["runs"]
                .as_array()
                .unwrap()
                .clone()
        };
        until("everything has ended", || {
            runs().iter().all(|run| run["clean"] == true)
        });
        let all = runs();
        assert!(all.len() <= 1, "{what}: {all:#?}");
        let record = record(&third, &run);
        let taken = record.as_ref().is_some_and(is_taken_up);
        if let Some(record) = record {
            let good = record.verdict == Some(Verdict::Passed);
            assert!(good || record.interrupted, "{what}: {record:#?}");
            assert!(good || !taken, "{what}: {record:#?}");
        }
        scene.is_clean(&what);
        (taken, died)
    })
}

async fn killed_again_and_again(instants: impl Iterator<Item = [u32; 2]>) {
    let all: Vec<_> = stream::iter(instants)
        .map(|instants| tokio::spawn(killed_at(instants)))
        .buffered(2)
        .map(Result::unwrap)
        .collect()
        .await;
    let taken_up = all.iter().filter(|(taken_up, _)| *taken_up).count();
    assert!(taken_up > 0, "none was taken up");
    assert!(all.iter().any(|(_, died)| *died));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_some_instants_it_is_taken_up_or_released() {
    let instants = [14, 17, 18, 19, 21, 23, 26].into_iter();
    killed_again_and_again(instants.zip([1, 2, 3, 4, 5, 6, 7]).map(|(a, b)| [a, b])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make soak`"]
async fn killed_at_every_instant_it_is_taken_up_or_released() {
    let all = (1..40).flat_map(|first| (1..12).step_by(2).map(move |second| [first, second]));
    killed_again_and_again(all).await;
}

/// A service that only slept does not tear down what another one has taken up.
#[tokio::test(flavor = "multi_thread")]
async fn who_wakes_up_leaves_the_copy_to_who_took_it_up() {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_secs(12))).await;
    block_in_place(|| {
        let url = SERVER.url(&SERVER.database());
        let replica = |name: &str| {
            let shared = ["--history", url.as_str(), "--claim", "2s"];
            Served::by(command(&scene, name, &shared), log(&scene, name))
        };
        let first = replica("first");
        let run = ask(&first);
        until_started(&first, &run);
        let second = replica("second");
        first.signal(Signal::SIGSTOP);
        until_taken_up(&second, &run);
        first.signal(Signal::SIGCONT);
        until("the first one knows", || first.log().contains("taken over"));
        let record = ended(&second, &run);
        assert_eq!(
            record.verdict,
            Some(Verdict::Passed),
            "{record:#?}\n{}",
            second.log()
        );
        scene.is_clean("taken up from a sleeper");
    });
}

/// A service that is to stop and leave its runs does so, and the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_may_leave_the_copy_to_the_next_one() {
    for (more, expected) in [
        (&["--park"][..], Verdict::Passed),
        (&[][..], Verdict::Inconclusive),
    ] {
        let scene = Scene::new(From::Snapshot, slow(Duration::from_secs(4))).await;
        block_in_place(|| {
            let mut command = command(&scene, "state", &[]);
            command.args(["--grace", "100ms"]).args(more);
            let mut first = Served::by(command, log(&scene, "first"));
            let run = ask(&first);
            until_started(&first, &run);
            assert_eq!(first.stop(), Some(0), "{}", first.log());
            let parked = expected == Verdict::Passed;
            assert_eq!(!scene.fake.of_runs().is_empty(), parked);
            let second = serve(&scene, "second");
            let record = ended(&second, &run);
            assert_eq!(record.verdict, Some(expected), "{record:#?}");
            scene.is_clean("stopped");
        });
    }
}

/// A cluster that does not answer yet is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_taken_up_from_a_cluster_that_comes_back() {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_secs(1))).await;
    block_in_place(|| {
        let run = orphan(&scene);
        let away = Rule::every(Effect::Answer(503), |_| true);
        scene.fake.break_by(away);
        let mut parks = command(&scene, "state", &[]);
        parks.args(["--park", "--grace", "100ms"]);
        let mut second = Served::by(parks, log(&scene, "second"));
        until("it cannot be taken up yet", || {
            second.log().contains("cannot take the copy up yet")
        });
        // Nor is it given up by who has not got it yet.
        assert_eq!(second.stop(), Some(0), "{}", second.log());
        scene.fake.inner.state().rules.clear();
        let third = serve(&scene, "third");
        let record = ended(&third, &run);
        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
        scene.is_clean("taken up later");
    });
}

/// A service that only lost its history does not tear down what another one may
/// have by now: it takes the run up itself when the history is back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make soak`"]
async fn who_is_cut_off_from_the_history_leaves_the_copy_alone() {
    let scene = Scene::new(From::Snapshot, slow(Duration::from_secs(3))).await;
    block_in_place(|| {
        let server = Server::start(Path::new(BINARIES), &[]);
        let url = server.url(&server.database());
        let shared = ["--history", url.as_str(), "--claim", "2s"];
        let first = Served::by(command(&scene, "first", &shared), log(&scene, "first"));
        let run = ask(&first);
        until_started(&first, &run);
        server.stop();
        // It is patient.
        let mut left = 300;
        while !first.log().contains("run could not be kept") {
            left -= 1;
            assert!(left > 0, "{}", first.log());
            std::thread::sleep(Duration::from_secs(1));
        }
        assert!(!scene.fake.of_runs().is_empty());
        server.start_again();
        let record = ended(&first, &run);
        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
        scene.is_clean("cut off");
    });
}
