//! Where the time between "restore it" and the first answer went, by what the
//! cluster itself wrote down: not by when we looked.
//!
//! The API server keeps whole seconds. A phase that is shorter may show as
//! none; their sum is right to a second.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::moment::{created, parsed as time};
use crate::{domain::record::Phase, k8s::Object, workload::list};

/// A phase with its begin and its end, as far as they are known.
type Mark = (&'static str, Option<Timestamp>, Option<Timestamp>);

/// The phases of a copy's pod, in order of time, as far as they are known.
pub(super) fn of_pod(pod: &Object, engine: &str) -> Vec<Phase> {
    let marks = marks(pod, engine).into_iter();
    marks
        .filter_map(|(name, from, to)| phase(name, from?, to?))
        .collect()
}

/// Whether all is known that will be: the engine's container has begun.
pub(super) fn is_up(pod: &Object, engine: &str) -> bool {
    marks(pod, engine).iter().all(|(_, _, to)| to.is_some())
}

fn marks(pod: &Object, engine: &str) -> [Mark; 4] {
    let data = &pod.data;
    let created = created(pod);
    let scheduled = condition(data, "PodScheduled");
    let inits = list(&data["status"]["initContainerStatuses"]);
    let first_init = inits.iter().filter_map(begun).min();
    let last_init = inits
        .iter()
        .filter_map(|status| time(&status["state"]["terminated"]["finishedAt"]))
        .max();
    let containers = list(&data["status"]["containerStatuses"]);
    let engine = containers
        .iter()
        .find(|status| status["name"] == engine)
        .and_then(begun);
    [
        ("scheduling", created, scheduled),
        (
            "attaching and mounting volumes, pulling images",
            scheduled,
            first_init,
        ),
        ("init containers", first_init, last_init),
        ("starting the engine's container", last_init, engine),
    ]
}

fn phase(name: &str, from: Timestamp, to: Timestamp) -> Option<Phase> {
    let elapsed = to.duration_since(from);
    Some(Phase {
        name: name.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).ok()?,
    })
}

fn condition(data: &Value, of_type: &str) -> Option<Timestamp> {
    let conditions = list(&data["status"]["conditions"]);
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == of_type)?;
    time(&found["lastTransitionTime"])
}

/// When a container began, whether or not it still runs.
fn begun(status: &Value) -> Option<Timestamp> {
    let state = &status["state"];
    time(&state["running"]["startedAt"]).or_else(|| time(&state["terminated"]["startedAt"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_own_times_make_its_phases() {
        let pod: Object = serde_json::from_value(json!({
            "metadata": { "name": "db-0", "creationTimestamp": "2026-01-02T03:00:00Z" },
            "status": {
                "conditions": [{ "type": "PodScheduled", "status": "True",
                                 "lastTransitionTime": "2026-01-02T03:00:01Z" }],
                "initContainerStatuses": [
                    { "name": "a", "state": { "terminated": {
                        "startedAt": "2026-01-02T03:00:09Z", "finishedAt": "2026-01-02T03:00:10Z" } } },
                    { "name": "b", "state": { "terminated": {
                        "startedAt": "2026-01-02T03:00:10Z", "finishedAt": "2026-01-02T03:00:12Z" } } },
                ],
                "containerStatuses": [
                    { "name": "db", "state": { "running": { "startedAt": "2026-01-02T03:00:13Z" } } },
                ],
            },
        }))
        .unwrap();
        assert!(is_up(&pod, "db") && !is_up(&pod, "other"));
        let phases: Vec<_> = of_pod(&pod, "db")
            .into_iter()
            .map(|p| (p.name, p.elapsed_ms))
            .collect();
        let expected = [
            ("scheduling", 1000),
            ("attaching and mounting volumes, pulling images", 8000),
            ("init containers", 3000),
            ("starting the engine's container", 1000),
        ];
        assert_eq!(phases, expected.map(|(name, ms)| (name.to_owned(), ms)));
    }
}
