//! The pod: one replica of the StatefulSet, with Lifeboat's agent beside it.

use serde_json::{Map, Value, json};

use super::{
    AGENT, BINARY, FIRST, LAST_WORDS, OWN, Rules, SHARED, TASK, metadata, named_pull_secrets,
    reach, security, tell, volume, without,
};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::Kind,
    workload::{Part, Workload, list},
};

/// What would tie the pod to a node or to other pods, or give it precedence.
const GONE: [&str; 14] = [
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostAliases",
    "hostUsers",
    "priorityClassName",
    "priority",
    "preemptionPolicy",
    "topologySpreadConstraints",
    "schedulingGates",
    "readinessGates",
    "activeDeadlineSeconds",
    "resourceClaims",
];

/// Volumes of Lifeboat's own in the pod, and where they are mounted.
const OWN_VOLUMES: [(&str, &str); 2] =
    [("lifeboat-bin", "/lifeboat/bin"), ("lifeboat-run", SHARED)];
const TASK_VOLUME: &str = "lifeboat-task";

pub(super) fn pod(
    workload: &Workload,
    rules: &Rules,
    notes: &mut Vec<String>,
) -> Result<Part, Failure> {
    let name = format!("{}-{}", workload.stateful_set.name, rules.ordinal);
    let mut spec = workload.template()["spec"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut dropped = without(&mut spec, &GONE);
    if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
        dropped.extend(without(affinity, &["podAffinity", "podAntiAffinity"]));
    }
    if spec.get("automountServiceAccountToken") != Some(&Value::Bool(false)) {
        dropped.push("a service account's token".to_owned());
    }
    tell(notes, "the pod", dropped);
    spec.insert("automountServiceAccountToken".to_owned(), false.into());
    let pulls = named_pull_secrets(workload);
    spec.insert("imagePullSecrets".to_owned(), pulls);
    spec.insert("enableServiceLinks".to_owned(), false.into());
    spec.insert("restartPolicy".to_owned(), "Always".into());
    spec.insert("hostname".to_owned(), name.clone().into());
    if let Some(service) = workload.stateful_set.body["spec"]["serviceName"].as_str() {
        spec.insert("subdomain".to_owned(), service.into());
    }
    security::restrict_pod(&mut spec, rules.run_as, notes);
    let mut volumes = volume::volumes(workload, rules, notes);
    volumes.extend(own_volumes(rules));
    spec.insert("volumes".to_owned(), volumes.into());
    containers(&mut spec, rules, notes)?;

    let mut metadata = metadata(workload.template());
    metadata["labels"]["statefulset.kubernetes.io/pod-name"] = name.clone().into();
    metadata["labels"]["apps.kubernetes.io/pod-index"] = rules.ordinal.to_string().into();
    let body = json!({ "metadata": metadata, "spec": spec });
    Ok(Part {
        kind: Kind::Pod,
        name,
        body,
    })
}

fn containers(
    spec: &mut Map<String, Value>,
    rules: &Rules,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let all = list(spec.get("containers").unwrap_or(&Value::Null)).to_vec();
    let inits = list(spec.get("initContainers").unwrap_or(&Value::Null)).to_vec();
    let named: Vec<&str> = all
        .iter()
        .chain(&inits)
        .filter_map(|c| c["name"].as_str())
        .collect();
    for wanted in rules
        .keep
        .iter()
        .chain(&rules.leave_out)
        .chain([&rules.engine])
    {
        if !named.contains(&wanted.as_str()) {
            let message = format!("the workload has no container {wanted}");
            return Err(Failure::new(FailureKind::Invalid, message)
                .hint(format!("it has {}", named.join(", "))));
        }
    }
    let is = |container: &Value, names: &[String]| {
        names.iter().any(|name| container["name"] == name.as_str())
    };
    let (kept, left): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .partition(|c| c["name"] == rules.engine.as_str() || is(c, &rules.keep));
    // A sidecar may also be an init container that is restarted.
    let (kept_inits, left_inits): (Vec<Value>, Vec<Value>) = inits.into_iter().partition(|c| {
        !is(c, &rules.leave_out) && (c["restartPolicy"] != "Always" || is(c, &rules.keep))
    });
    for container in left.iter().chain(&left_inits) {
        let name = container["name"].as_str().unwrap_or_default();
        notes.push(format!("container {name} is left out"));
    }
    let engine = kept.iter().find(|c| c["name"] == rules.engine.as_str());
    let engine = engine.cloned().unwrap_or_default();
    let mut containers = kept;
    for container in &mut containers {
        if container["name"] == rules.engine.as_str() {
            prepare_engine(container, rules, notes);
        }
    }
    containers.push(agent(&engine, rules));
    let mut first = vec![install(rules)];
    first.extend(before(&engine, rules));
    first.extend(kept_inits);
    for container in containers.iter_mut().chain(&mut first) {
        // Nothing has to be said of Lifeboat's own.
        let is_own = container["name"]
            .as_str()
            .is_some_and(|n| n.starts_with(OWN));
        let notes = if is_own { &mut Vec::new() } else { &mut *notes };
        reach::hold(container, notes);
        security::restrict_container(container, rules.run_as, notes)?;
    }
    spec.insert("containers".to_owned(), containers.into());
    spec.insert("initContainers".to_owned(), first.into());
    Ok(())
}

/// The engine sees the shared directory and gets its last words.
fn prepare_engine(container: &mut Value, rules: &Rules, notes: &mut Vec<String>) {
    if !rules.arguments.is_empty() {
        let more = rules.arguments.join(" ");
        notes.push(format!("{} is given: {more}", reach::named(container)));
    }
    push(
        container,
        "volumeMounts",
        json!({ "name": OWN_VOLUMES[1].0, "mountPath": SHARED }),
    );
    for argument in &rules.arguments {
        push(container, "args", argument.clone().into());
    }
}

/// Copies the binary into the pod.
fn install(rules: &Rules) -> Value {
    let (volume, path) = OWN_VOLUMES[0];
    json!({
        "name": FIRST[0],
        "image": rules.agent.image,
        // The image's entry point is the binary, wherever it lies.
        "args": ["agent", "install", BINARY],
        "terminationMessagePolicy": LAST_WORDS,
        "volumeMounts": [{ "name": volume, "mountPath": path }],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
    })
}

/// Prepares the data before the engine's first start.
fn before(engine: &Value, rules: &Rules) -> Option<Value> {
    let arguments = rules.agent.before.as_ref()?;
    let mut container = with_engines_view(FIRST[1], engine, arguments, rules);
    container["terminationMessagePolicy"] = LAST_WORDS.into();
    Some(container)
}

fn agent(engine: &Value, rules: &Rules) -> Value {
    with_engines_view(AGENT, engine, &rules.agent.beside, rules)
}

/// The agent in the engine's own image, with its environment and volumes: so
/// it has tools of the right version, and sees what the engine sees.
fn with_engines_view(name: &str, engine: &Value, arguments: &[String], rules: &Rules) -> Value {
    let mut command = vec![Value::from(BINARY)];
    command.extend(arguments.iter().map(|argument| argument.clone().into()));
    let mut container = json!({
        "name": name,
        "image": engine["image"],
        "command": command,
        "env": list(&engine["env"]),
        "envFrom": list(&engine["envFrom"]),
        "volumeMounts": list(&engine["volumeMounts"]),
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
    });
    for field in ["imagePullPolicy", "securityContext"] {
        if let Some(value) = engine.get(field) {
            container[field] = value.clone();
        }
    }
    for (volume, path) in OWN_VOLUMES {
        push(
            &mut container,
            "volumeMounts",
            json!({ "name": volume, "mountPath": path }),
        );
    }
    let task = json!({ "name": TASK_VOLUME, "mountPath": TASK, "readOnly": true });
    push(&mut container, "volumeMounts", task);
    for (path, claim) in &rules.agent.claims {
        push(
            &mut container,
            "volumeMounts",
            json!({ "name": claim, "mountPath": path }),
        );
    }
    container
}

fn own_volumes(rules: &Rules) -> Vec<Value> {
    let empty = OWN_VOLUMES
        .iter()
        .map(|(name, _)| json!({ "name": name, "emptyDir": {} }));
    let task = json!({ "name": TASK_VOLUME, "secret": { "secretName": rules.agent.task } });
    let claims = rules.agent.claims.values();
    let claims = claims
        .map(|claim| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } }));
    empty.chain([task]).chain(claims).collect()
}

fn push(container: &mut Value, field: &str, value: Value) {
    if let Some(list) = container[field].as_array_mut() {
        list.push(value);
    } else {
        container[field] = vec![value].into();
    }
}
