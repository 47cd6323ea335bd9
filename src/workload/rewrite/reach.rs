//! What a node does for a container: its ports on the node, and calls that the
//! node makes. No policy for pods holds these.

use serde_json::Value;

use super::{tell, without};
use crate::workload::list;

/// What calls something, in a container.
const CALLERS: [&str; 5] = [
    "/livenessProbe",
    "/readinessProbe",
    "/startupProbe",
    "/lifecycle/postStart",
    "/lifecycle/preStop",
];

/// How it is called.
const CALLS: [&str; 2] = ["httpGet", "tcpSocket"];

/// Closes ports of the node, and has calls made to the container itself alone.
/// Devices that are claimed for the pod stay with the source's.
pub(super) fn hold(container: &mut Value, notes: &mut Vec<String>) {
    let mut dropped = Vec::new();
    for at in 0..list(&container["ports"]).len() {
        if let Some(port) = container["ports"][at].as_object_mut() {
            dropped.extend(without(port, &["hostPort", "hostIP"]));
        }
    }
    for (caller, call) in CALLERS.iter().flat_map(|one| CALLS.map(|call| (one, call))) {
        let call = container
            .pointer_mut(caller)
            .and_then(|caller| caller.get_mut(call)?.as_object_mut());
        if call.is_some_and(|call| !without(call, &["host"]).is_empty()) {
            dropped.push(format!("the host that {} calls", &caller[1..]));
        }
    }
    let resources = container.get_mut("resources");
    if let Some(resources) = resources.and_then(Value::as_object_mut) {
        dropped.extend(without(resources, &["claims"]));
    }
    tell(notes, &named(container), dropped);
}

/// A container, for people.
pub(super) fn named(container: &Value) -> String {
    format!(
        "container {}",
        container["name"].as_str().unwrap_or_default()
    )
}
