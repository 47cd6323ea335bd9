//! Pods: scheduled, run, heard and ended.

use std::{sync::Arc, time::Duration};

use lifeboat::k8s::Kind;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Inner, Key, agent,
    http::{Piece, Reply, Request},
    requests::Asked,
    store::{Refusal, now, refusal},
};

/// What a container has written.
#[derive(Default)]
pub struct Log {
    /// Each with its time.
    lines: Vec<(jiff::Timestamp, String)>,
    /// Those of the container that was there before.
    before: Vec<(jiff::Timestamp, String)>,
    /// Whose they are.
    pub life: i64,
    /// How many of them the agent has said.
    pub said: u64,
    pub over: bool,
    followers: Vec<mpsc::UnboundedSender<Piece>>,
}

impl Log {
    pub fn write(&mut self, line: &str) {
        if self.over {
            return;
        }
        // Times of a log are told apart; equal ones would come twice.
        let last = self.lines.last().map(|(at, _)| *at);
        let at = jiff::Timestamp::now();
        let after = |last: jiff::Timestamp| last + jiff::SignedDuration::from_nanos(1);
        let at = last.map_or(at, |last| at.max(after(last)));
        self.lines.push((at, line.to_owned()));
        let piece = || Piece::Data(format!("{at} {line}\n").into_bytes());
        self.followers
            .retain(|follower| follower.send(piece()).is_ok());
    }

    /// What was written, without its times.
    pub fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|(_, text)| text.clone()).collect()
    }

    fn end(&mut self) {
        self.over = true;
        self.followers.clear();
    }
}

/// The container whose log is the agent's.
pub const AGENT: &str = "lifeboat-agent";

/// What prepares a copy's data.
const BEFORE: &str = "lifeboat-before";

/// Runs a pod until the agent in it has nothing more to say.
pub async fn run(inner: Arc<Inner>, key: Key) {
    let Some(pod) = inner.state().store.get(&key) else {
        return;
    };
    inner.pause().await;
    inner.state().store.change(&key, |pod| {
        pod["spec"]["nodeName"] = "node-1".into();
        pod["status"] = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "True", "lastTransitionTime": now() },
        ]});
    });
    let none = Vec::new();
    let volumes = pod["spec"]["volumes"].as_array().unwrap_or(&none);
    for claim in volumes
        .iter()
        .filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str())
    {
        let claim = Key::new(Kind::PersistentVolumeClaim, key.namespace.as_deref(), claim);
        inner
            .until(&claim, |claim| {
                (claim?["status"]["phase"] == "Bound").then_some(())
            })
            .await;
    }
    inner.pause().await;
    if !pulls(&inner, &key, &pod) {
        let what = format!("an image of {} that nobody may pull", key.name);
        inner.state().unknown.push(what);
        return;
    }
    let namespace = key.namespace.clone().unwrap_or_default();
    {
        let mut state = inner.state();
        let before = |pod: &Value| pod["spec"]["initContainers"][1]["name"] == BEFORE;
        if let Some(message) = state.fails.filter(|_| before(&pod)) {
            let ended = json!({ "terminated": {
                "exitCode": 1, "reason": "Error", "message": message } });
            state.store.change(&key, |pod| {
                pod["status"]["initContainerStatuses"] =
                    json!([{ "name": BEFORE, "state": ended, "restartCount": 0 }]);
            });
            return;
        }
        state.store.change(&key, |pod| {
            pod["status"]["phase"] = "Running".into();
            let ended = json!({ "terminated": {
                "exitCode": 0, "startedAt": now(), "finishedAt": now() } });
            pod["status"]["initContainerStatuses"] = statuses(pod, "initContainers", &ended);
            let running = json!({ "running": { "startedAt": now() } });
            pod["status"]["containerStatuses"] = statuses(pod, "containers", &running);
        });
        if has_agent(&pod) {
            state.ready.mark("agent running", &namespace);
        }
    }
    if has_agent(&pod) {
        agent::play(&inner, &key, &pod).await;
    }
}

/// A registry that gives images only to those who show a Secret.
pub const PRIVATE: &str = "private.test/";

/// Whether all images can be pulled.
fn pulls(inner: &Inner, key: &Key, pod: &Value) -> bool {
    let is_private = |one: &Value| {
        one["image"]
            .as_str()
            .is_some_and(|i| i.starts_with(PRIVATE))
    };
    let private = pod["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .any(is_private);
    let secrets = pod["spec"]["imagePullSecrets"].as_array();
    let is_there = |secret: &Value| {
        let name = secret["name"].as_str().unwrap();
        let secret = Key::new(Kind::Secret, key.namespace.as_deref(), name);
        inner.state().store.get(&secret).is_some()
    };
    !private || secrets.is_some_and(|secrets| secrets.iter().any(is_there))
}

fn has_agent(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.is_some_and(|volumes| volumes.iter().any(|v| v["name"] == "lifeboat-task"))
}

fn statuses(pod: &Value, of: &str, state: &Value) -> Value {
    let containers = pod["spec"][of].as_array().cloned().unwrap_or_default();
    let status = |container: &Value| json!({ "name": container["name"], "state": state, "ready": true, "restartCount": 0 });
    containers.iter().map(status).collect()
}

/// The agent's container ends by itself.
pub fn over(inner: &Inner, key: &Key) {
    let mut state = inner.state();
    if let Some(log) = state.logs.get_mut(&log_of(key, AGENT)) {
        log.end();
    }
    state.store.change(key, |pod| {
        let ended = json!({ "terminated": {
            "exitCode": 0, "startedAt": now(), "finishedAt": now() } });
        pod["status"]["containerStatuses"] = statuses(pod, "containers", &ended);
        pod["status"]["phase"] = "Succeeded".into();
    });
}

/// The agent's container is killed for its memory and started anew, which the
/// pod's status tells a little later. What it says then counts from 1.
pub async fn restart(inner: &Arc<Inner>, key: &Key, later: Duration) {
    {
        let mut state = inner.state();
        let log = state.logs.get_mut(&log_of(key, AGENT)).unwrap();
        log.before = std::mem::take(&mut log.lines);
        log.followers.clear();
        log.said = 0;
        log.life += 1;
    }
    agent::again(inner, key);
    tokio::time::sleep(later).await;
    inner.state().store.change(key, |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array_mut().unwrap();
        let agent = statuses.iter_mut().find(|one| one["name"] == AGENT);
        let agent = agent.unwrap();
        agent["restartCount"] = 1.into();
        agent["lastState"] = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    });
}

/// A pod is to go: its agent may say its last words, and it is gone.
pub async fn end(inner: Arc<Inner>, key: Key) {
    agent::last_words(&inner, &key).await;
    inner.pause().await;
    over(&inner, &key);
    // Whoever hears the last words can still ask how it ended.
    inner.pause().await;
    let mut state = inner.state();
    state.logs.remove(&log_of(&key, AGENT));
    state.store.remove(&key);
}

pub fn log_of(key: &Key, container: &str) -> (String, String, String) {
    let namespace = key.namespace.clone().unwrap_or_default();
    (namespace, key.name.clone(), container.to_owned())
}

/// A container's log, from a time on.
pub fn log(inner: &Arc<Inner>, asked: &Asked, request: &Request) -> Result<Reply, Refusal> {
    let pod = Key::new(
        Kind::Pod,
        asked.namespace.as_deref(),
        asked.name.as_deref().unwrap_or_default(),
    );
    let container = request.query.get("container").map_or(AGENT, String::as_str);
    let mut state = inner.state();
    if state.store.get(&pod).is_none() {
        return super::api::not_found(&pod);
    }
    let previous = request
        .query
        .get("previous")
        .is_some_and(|yes| yes == "true");
    let Some(log) = state.logs.get_mut(&log_of(&pod, container)) else {
        return refusal(
            400,
            "BadRequest",
            format!("container {container} is waiting to start"),
        );
    };
    let since = request.query.get("sinceTime");
    let since = since.map(|text| text.parse::<jiff::Timestamp>().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    let lines = if previous { &log.before } else { &log.lines };
    for (at, line) in lines {
        if since.is_none_or(|since| *at >= since) {
            let _ = tell.send(Piece::Data(format!("{at} {line}\n").into_bytes()));
        }
    }
    if !log.over && !previous {
        log.followers.push(tell);
    }
    Ok(Reply::Pieces(told))
}
