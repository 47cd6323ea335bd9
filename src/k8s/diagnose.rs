//! How things look in a namespace, in lines for people: what does not get on,
//! and why the cluster says that is so.

use kube::{Api, ResourceExt, api::LogParams};
use serde_json::Value;

use super::{Cluster, Kind, Object, RUN, volume::CONTENT};
use crate::domain::ids::RunId;

/// Lines of a container's log that are shown.
const LOG_LINES: i64 = 10;

/// Events that are shown of one namespace.
const EVENTS: usize = 12;

/// Where a group of snapshots says what it is bound to.
const GROUP_CONTENT: &str = "/status/boundVolumeGroupSnapshotContentName";

/// Everything in the namespace that does not get on, its warnings and the ends
/// of the logs of its containers. What cannot be looked at is said.
pub async fn namespace(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pods = Vec::new();
    for kind in [
        Kind::Pod,
        Kind::PersistentVolumeClaim,
        Kind::VolumeSnapshot,
        Kind::ResourceQuota,
    ] {
        match cluster.list(kind, Some(namespace), "").await {
            Ok(objects) => {
                for object in objects {
                    lines.extend(troubles(kind, &object));
                    if kind == Kind::Pod {
                        pods.push(object);
                    }
                }
            }
            Err(failure) => lines.push(failure.message),
        }
    }
    lines.extend(warnings(cluster, namespace).await);
    for pod in &pods {
        lines.extend(logs(cluster, namespace, pod).await);
    }
    lines
}

/// The same of one pod, without its logs.
#[must_use]
pub fn pod(pod: &Object) -> Vec<String> {
    troubles(Kind::Pod, pod)
}

/// What keeps the snapshots that a run cuts from being used, as they say
/// themselves, or the contents behind them.
pub async fn snapshots(cluster: &Cluster, namespace: &str, run: RunId) -> Vec<String> {
    let selector = format!("{RUN}={run}");
    let mut lines = Vec::new();
    for kind in [Kind::VolumeSnapshot, Kind::VolumeGroupSnapshot] {
        // A cluster without groups has none.
        if !cluster.knows(kind).await.unwrap_or(false) {
            continue;
        }
        match cluster.list(kind, Some(namespace), &selector).await {
            Ok(cut) => {
                for snapshot in cut {
                    lines.extend(troubles(kind, &snapshot));
                    lines.extend(behind(cluster, kind, &snapshot).await);
                }
            }
            Err(failure) => lines.push(failure.message),
        }
    }
    lines
}

/// What the content behind a snapshot says, where the snapshot does not.
async fn behind(cluster: &Cluster, kind: Kind, snapshot: &Object) -> Option<String> {
    if kind != Kind::VolumeSnapshot || snapshot_error(&snapshot.data).is_some() {
        return None;
    }
    let content = cluster.content_of(snapshot).await?;
    let error = snapshot_error(&content.data)?;
    let kind = Kind::VolumeSnapshotContent;
    Some(format!("{} {}: {error}", kind.name(), content.name_any()))
}

fn troubles(kind: Kind, object: &Object) -> Vec<String> {
    let name = object.name_any();
    let found = match kind {
        Kind::Pod => of_pod(&object.data),
        Kind::PersistentVolumeClaim => of_claim(&object.data),
        Kind::VolumeSnapshot => of_snapshot(&object.data, CONTENT),
        Kind::VolumeGroupSnapshot => of_snapshot(&object.data, GROUP_CONTENT),
        Kind::ResourceQuota => of_quota(&object.data),
        _ => Vec::new(),
    };
    let what = format!("{} {name}", kind.name());
    found
        .into_iter()
        .map(|line| format!("{what}: {line}"))
        .collect()
}

fn of_pod(data: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for condition in list(data, "/status/conditions") {
        let healthy = condition["status"] == "True" || condition["reason"] == "PodCompleted";
        if let Some(message) = condition["message"].as_str().filter(|_| !healthy) {
            lines.push(format!("not {}: {message}", text(condition, "type")));
        }
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for status in statuses.iter().flat_map(|path| list(data, path)) {
        lines.extend(of_container(status));
    }
    lines
}

fn of_container(status: &Value) -> Option<String> {
    let name = text(status, "name");
    let said = |state: &Value| {
        let (reason, message) = (text(state, "reason"), text(state, "message"));
        [reason, message]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(": ")
    };
    if let Some(waiting) = status.pointer("/state/waiting") {
        return Some(format!("container {name} waits: {}", said(waiting)));
    }
    let ended = ["/state/terminated", "/lastState/terminated"];
    let ended = ended.iter().find_map(|path| status.pointer(path))?;
    let code = ended["exitCode"].as_i64().unwrap_or(-1);
    (code != 0).then(|| format!("container {name} ended with {code}: {}", said(ended)))
}

fn of_claim(data: &Value) -> Vec<String> {
    let phase = data.pointer("/status/phase").and_then(Value::as_str);
    match phase {
        Some("Bound") => Vec::new(),
        other => {
            let class = data
                .pointer("/spec/storageClassName")
                .and_then(Value::as_str);
            let class = class.unwrap_or("the default");
            let phase = other.unwrap_or("not looked at");
            vec![format!("is {phase}, not Bound (storage class {class})")]
        }
    }
}

fn of_snapshot(data: &Value, content: &str) -> Vec<String> {
    let mut lines: Vec<String> = snapshot_error(data).into_iter().collect();
    if data.pointer("/status/readyToUse") == Some(&Value::Bool(true)) {
        return lines;
    }
    let stage = if data.pointer(content).is_none() {
        "no snapshot controller has taken it up"
    } else if data.pointer("/status/creationTime").is_none() {
        "its driver has not cut it"
    } else {
        "its driver has cut it, and does not say that it can be used"
    };
    lines.push(format!("is not ready to use: {stage}"));
    lines
}

/// What the driver has against a snapshot, a group of them or a content.
#[must_use]
pub fn snapshot_error(data: &Value) -> Option<String> {
    let message = data.pointer("/status/error/message")?.as_str()?;
    Some(message.to_owned())
}

fn of_quota(data: &Value) -> Vec<String> {
    let (Some(hard), Some(used)) = (
        data.pointer("/status/hard").and_then(Value::as_object),
        data.pointer("/status/used").and_then(Value::as_object),
    ) else {
        return Vec::new();
    };
    // What nobody is to have is not used up.
    let full = hard
        .iter()
        .filter(|(name, limit)| used.get(*name) == Some(limit) && *limit != "0");
    full.map(|(name, limit)| format!("{name} is used up ({limit})"))
        .collect()
}

/// The newest warnings, each once.
async fn warnings(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let events = match cluster.list(Kind::Event, Some(namespace), "").await {
        Ok(events) => events,
        Err(failure) => return vec![failure.message],
    };
    let mut lines: Vec<String> = Vec::new();
    for event in events
        .iter()
        .rev()
        .filter(|event| event.data["type"] == "Warning")
    {
        let of = &event.data["involvedObject"];
        let line = format!(
            "{} {}: {}: {}",
            text(of, "kind"),
            text(of, "name"),
            text(&event.data, "reason"),
            text(&event.data, "message")
                .lines()
                .next()
                .unwrap_or_default()
        );
        if !lines.contains(&line) && lines.len() < EVENTS {
            lines.push(line);
        }
    }
    lines
}

/// The ends of the logs of containers that are not well.
async fn logs(cluster: &Cluster, namespace: &str, pod: &Object) -> Vec<String> {
    use k8s_openapi::api::core::v1::Pod;
    let api: Api<Pod> = Api::namespaced(cluster.client().clone(), namespace);
    let mut lines = Vec::new();
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for status in statuses.iter().flat_map(|path| list(&pod.data, path)) {
        let well = status["ready"] == true
            || status.pointer("/state/terminated/exitCode") == Some(&0.into());
        if well {
            continue;
        }
        let container = text(status, "name");
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        // One that has not started has no log.
        let Ok(log) = api.logs(&pod.name_any(), &params).await else {
            continue;
        };
        // The agent's own lines are data for this program.
        let shown = log.lines().filter(|line| !line.starts_with('{'));
        lines.extend(shown.map(|line| format!("{container}: {line}")));
    }
    lines
}

fn list<'a>(data: &'a Value, path: &str) -> &'a [Value] {
    data.pointer(path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_holds_a_pod_back_is_named() {
        let lines = of_pod(&json!({ "status": {
            "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                  "message": "0/1 nodes are available: 1 Insufficient cpu." },
                { "type": "Ready", "status": "True", "message": "fine" },
            ],
            "containerStatuses": [
                { "name": "db", "state": { "waiting": {
                    "reason": "ImagePullBackOff", "message": "no such image" } } },
                { "name": "agent", "state": { "terminated": { "exitCode": 0 } } },
                { "name": "side", "state": { "running": {} },
                  "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } },
            ],
        }}));
        assert_eq!(
            lines,
            [
                "not PodScheduled: 0/1 nodes are available: 1 Insufficient cpu.",
                "container db waits: ImagePullBackOff: no such image",
                "container side ended with 137: OOMKilled",
            ]
        );
    }

    #[test]
    fn a_claim_a_snapshot_and_a_quota_say_what_is_wrong() {
        let pending =
            json!({ "spec": { "storageClassName": "fast" }, "status": { "phase": "Pending" } });
        assert_eq!(
            of_claim(&pending),
            ["is Pending, not Bound (storage class fast)"]
        );
        assert!(of_claim(&json!({ "status": { "phase": "Bound" } })).is_empty());
        let broken =
            json!({ "status": { "readyToUse": false, "error": { "message": "no space" } } });
        assert_eq!(
            of_snapshot(&broken, CONTENT),
            [
                "no space",
                "is not ready to use: no snapshot controller has taken it up"
            ]
        );
        let bound = json!({ "status": { "boundVolumeSnapshotContentName": "c" } });
        let lines = of_snapshot(&bound, CONTENT);
        assert!(lines[0].ends_with("its driver has not cut it"), "{lines:?}");
        let quota = json!({ "status": {
            "hard": { "pods": "1", "cpu": "2" }, "used": { "pods": "1", "cpu": "500m" } } });
        assert_eq!(of_quota(&quota), ["pods is used up (\"1\")"]);
    }
}
