//! What Lifeboat's agent would say in a pod: by the task that it was given, in
//! the very shapes of the protocol.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use k8s_openapi::ByteString;
use lifeboat::{
    agent::protocol::{Copy, Done, Line, Outside, Said, Target, Task, Work},
    domain::{
        canary::{Acknowledged, CanaryLog, CanaryOutcome},
        check::{CheckKind, CheckResult, Outcome},
        event::EventKind,
        failure::{Failure, FailureKind},
        record::{Attempt, Fence, RestoreFacts},
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint},
        step::Step,
        timeline::Milestone,
    },
    engine::{LetGo, Verification},
    k8s::Kind,
};
use serde_json::Value;

use super::{Inner, Key, pods};

/// Says everything that the pod's task makes the agent say, and beats.
pub async fn play(inner: &Arc<Inner>, key: &Key, pod: &Value) {
    let Some(task) = task(inner, key, pod) else {
        return;
    };
    let log = pods::log_of(key, pods::AGENT);
    inner.state().logs.entry(log).or_default();
    let mouth = Mouth::new(inner, key);
    let beats = async {
        while mouth.say(Said::Beat) {
            tokio::time::sleep(inner.pace.beat).await;
        }
    };
    tokio::join!(beats, work(&mouth, task));
}

/// What an agent says that finds that it was restarted.
pub fn again(inner: &Arc<Inner>, key: &Key) {
    let mouth = Mouth::new(inner, key);
    mouth.say(Said::Beat);
    let failure = Failure::new(FailureKind::Interrupted, "restarted");
    mouth.say(Said::Failed {
        step: Step::Start,
        failure,
    });
    mouth.say(Said::End);
}

/// Lets go, if that is what the pod was there for.
pub async fn last_words(inner: &Arc<Inner>, key: &Key) {
    let pod = inner.state().store.get(key);
    let task = pod.and_then(|pod| task(inner, key, &pod));
    if let Some(Work::Hold(hold)) = task.map(|task| task.work) {
        tokio::time::sleep(inner.pace.agent).await;
        let mouth = Mouth::new(inner, key);
        mouth.fenced(&hold.outside, |fence| Done::LetGo {
            gone: LetGo {
                position: Some("0/2000000".to_owned()),
                canary: Some(canary()),
                ..LetGo::default()
            },
            fence,
        });
        mouth.say(Said::End);
    }
}

fn task(inner: &Inner, key: &Key, pod: &Value) -> Option<Task> {
    let volumes = pod["spec"]["volumes"].as_array()?;
    let mut volumes = volumes.iter();
    let volume = volumes.find(|volume| volume["name"] == "lifeboat-task")?;
    let name = volume["secret"]["secretName"].as_str()?;
    let secret = Key::new(Kind::Secret, key.namespace.as_deref(), name);
    let secret = inner.state().store.get(&secret)?;
    let data: BTreeMap<String, ByteString> = serde_json::from_value(secret["data"].clone()).ok()?;
    serde_json::from_slice(&data["task.json"].0).ok()
}

async fn work(mouth: &Mouth, task: Task) {
    match task.work {
        Work::Capture(task) => {
            mouth.pause().await;
            mouth.fenced(&task.outside, |fence| Done::Capture {
                source: None,
                point: Box::new(dump()),
                fence,
            });
            mouth.say(Said::End);
            pods::over(&mouth.inner, &mouth.key);
        }
        Work::Hold(_) => {
            mouth.pause().await;
            mouth.done(Done::Hold(Box::default()));
        }
        Work::Copy(task) => copy(mouth, &task).await,
        Work::Find(_) | Work::Fetch(_) => unreachable!("no drill here has a bucket"),
    }
}

async fn copy(mouth: &Mouth, task: &Copy) {
    mouth.pause().await;
    mouth.done(Done::Start);
    for milestone in [
        Milestone::Accepting,
        Milestone::DataRestored,
        Milestone::Reads,
        Milestone::Serving,
    ] {
        mouth.pause().await;
        mouth.say(Said::Event(EventKind::Reached { milestone }));
    }
    mouth.done(Done::Restore {
        facts: RestoreFacts {
            fence: fence(&task.outside),
            ..RestoreFacts::default()
        },
        checks: Vec::new(),
    });
    mouth.done(Done::Serve);
    tokio::time::sleep(mouth.inner.pace.verify).await;
    let check = CheckResult {
        name: "canary".to_owned(),
        kind: CheckKind::Canary,
        outcome: Outcome::Pass,
        summary: "all there".to_owned(),
        findings: Vec::new(),
        elapsed_ms: 1,
    };
    mouth.say(Said::Event(EventKind::CheckDone {
        check: check.clone(),
    }));
    mouth.done(Done::Verify(Verification {
        checks: vec![check],
        canary: Some(CanaryOutcome {
            acknowledged: 1,
            lost: Vec::new(),
            newest: Some(jiff::Timestamp::now()),
        }),
        newest_writes: Vec::new(),
    }));
    // And stays: it is ended from outside.
}

/// Nothing is reached here.
fn fence(outside: &Outside) -> Fence {
    let held = |Target { what, host, port }: &Target| Attempt {
        from: outside.from.clone(),
        what: format!("connect to {what} at {host}:{port}"),
        prevented: true,
        how: "no answer".to_owned(),
    };
    Fence {
        network: true,
        files: true,
        attempts: outside.targets.iter().map(held).collect(),
        untested: outside.untested.clone(),
        notes: Vec::new(),
    }
}

fn dump() -> RecoveryPoint {
    let artifact = Artifact::LogicalDump {
        path: "/lifeboat/dump/dump".into(),
        format: "directory".to_owned(),
    };
    let cut = Cut {
        at: Some(jiff::Timestamp::now()),
        basis: CutBasis::Snapshot,
        position: None,
        newest_commit: None,
    };
    RecoveryPoint {
        size_bytes: 4096,
        canary: Some(canary()),
        ..RecoveryPoint::new(artifact, Ownership::Ours, cut)
    }
}

fn canary() -> CanaryLog {
    CanaryLog {
        table: "lifeboat.canary".to_owned(),
        before_cut: vec![Acknowledged {
            sequence: 1,
            at: jiff::Timestamp::now(),
            position: None,
        }],
        after_cut: 0,
    }
}

struct Mouth {
    inner: Arc<Inner>,
    key: Key,
    life: i64,
    begun: Instant,
}

impl Mouth {
    fn new(inner: &Arc<Inner>, key: &Key) -> Self {
        let log = pods::log_of(key, pods::AGENT);
        Self {
            inner: inner.clone(),
            key: key.clone(),
            life: inner.state().logs.get(&log).map_or(0, |log| log.life),
            begun: Instant::now(),
        }
    }

    /// Whether there is still somebody to say it.
    fn say(&self, said: Said) -> bool {
        let mut state = self.inner.state();
        let Some(log) = state.logs.get_mut(&pods::log_of(&self.key, pods::AGENT)) else {
            return false;
        };
        if log.life != self.life {
            return false;
        }
        log.said += 1;
        let line = Line {
            life: self.life,
            n: log.said,
            us: u64::try_from(self.begun.elapsed().as_micros()).unwrap(),
            said,
        };
        log.write(&serde_json::to_string(&line).unwrap());
        !log.over
    }

    /// Has done its work, unless its pod is one from which something is reached.
    fn fenced(&self, outside: &Outside, done: impl FnOnce(Fence) -> Done) {
        let unfenced = self.inner.state().unfenced;
        if unfenced.is_none() || unfenced != outside.from.as_deref() {
            return self.done(done(fence(outside)));
        }
        let message = format!("fence: not enforced: from pod {}", self.key.name);
        self.say(Said::Failed {
            step: Step::Capture,
            failure: Failure::new(FailureKind::Unavailable, message),
        });
    }

    fn done(&self, done: Done) {
        self.say(Said::Done(Box::new(done)));
    }

    async fn pause(&self) {
        tokio::time::sleep(self.inner.pace.agent).await;
    }
}
