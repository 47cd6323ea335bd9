//! How soon Lifeboat goes on in a real cluster when something is ready, as
//! somebody else sees it who watches the same objects:
//! `.ci/cluster reactions --ignored --nocapture`.
//!
//! Between "it is ready" and "the next object is there" lie the requests that
//! Lifeboat makes meanwhile, and the API server's own work on them. Both
//! instants are those at which the watcher was told, by one clock.

use std::{
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    needs_cluster,
    snapshots::{FROM_NIGHTLY, nightly},
    support::{kubeconfig, lifeboat::Lifeboat, source::Source},
};

const ROUNDS: usize = 20;

/// Long enough for the last news to come.
const SETTLED: Duration = Duration::from_secs(2);

/// A watcher of one kind in all namespaces.
struct Watcher(Child);

impl Watcher {
    fn of(kind: &'static str, tell: Sender<(Instant, Value)>) -> Self {
        let mut kubectl = Command::new("kubectl")
            .env("KUBECONFIG", kubeconfig().unwrap())
            .args(["get", kind, "-A", "-o", "json", "--watch"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = kubectl.stdout.take().unwrap();
        std::thread::spawn(move || {
            let news = serde_json::Deserializer::from_reader(stdout).into_iter();
            for object in news.map_while(Result::ok) {
                let _ = tell.send((Instant::now(), object));
            }
        });
        Self(kubectl)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// When an object of that kind was first so in the namespace.
fn first(
    news: &[(Instant, Value)],
    namespace: &str,
    kind: &str,
    is: impl Fn(&Value) -> bool,
) -> Option<Instant> {
    let fits = |object: &Value| {
        object["kind"] == kind && object["metadata"]["namespace"] == namespace && is(object)
    };
    news.iter()
        .find(|(_, object)| fits(object))
        .map(|(at, _)| *at)
}

fn taken(told: &Receiver<(Instant, Value)>) -> Vec<(Instant, Value)> {
    std::thread::sleep(SETTLED);
    told.try_iter().collect()
}

#[test]
#[ignore = "a measurement"]
fn what_is_ready_is_gone_on_from_at_once() {
    needs_cluster!();
    let source = Source::new("reactions");
    nightly(&source);
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, false, "", FROM_NIGHTLY);
    let (tell, told) = channel();
    let kinds = ["volumesnapshots", "persistentvolumeclaims", "pods"];
    let watchers = kinds.map(|kind| Watcher::of(kind, tell.clone()));
    let (mut to_claim, mut to_pod) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let _ = taken(&told);
        let record = lifeboat.run(&[]);
        assert_eq!(record["verdict"], "passed", "{record:#}");
        let news = taken(&told);
        let claim = news
            .iter()
            .find(|(_, object)| {
                object["kind"] == "PersistentVolumeClaim"
                    && object["metadata"]["labels"]["lifeboat.dev/run"] == record["id"]
            })
            .map(|(_, object)| object["metadata"]["namespace"].as_str().unwrap());
        let namespace = claim.unwrap().to_owned();
        let first = |kind, is: fn(&Value) -> bool| first(&news, &namespace, kind, is).unwrap();
        let ready = first("VolumeSnapshot", |one| one["status"]["readyToUse"] == true);
        let bound = first("PersistentVolumeClaim", |one| {
            one["status"]["phase"] == "Bound"
        });
        let claimed = first("PersistentVolumeClaim", |_| true);
        let made = first("Pod", |one| one["metadata"]["name"] == "db-0");
        to_claim.push(claimed.saturating_duration_since(ready));
        to_pod.push(made.saturating_duration_since(bound));
    }
    drop(watchers);
    for (what, mut all) in [
        ("snapshot ready to claim made (4 requests)", to_claim),
        ("claim bound to pod made (2 requests)", to_pod),
    ] {
        all.sort();
        let (median, most) = (all[all.len() / 2], all[all.len() - 1]);
        eprintln!("{what}: p50 {median:.1?}, most {most:.1?} of {ROUNDS}");
    }
}
