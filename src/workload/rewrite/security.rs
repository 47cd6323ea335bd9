//! What the pod security standard `restricted` asks of a pod.

use serde_json::{Map, Value, json};

use super::{reach::named, tell, without};
use crate::{
    domain::failure::{Failure, FailureKind},
    workload::list,
};

/// What gives a container power over the node, or loosens what holds it.
const POWERS: [&str; 7] = [
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "seLinuxOptions",
    "appArmorProfile",
    "seccompProfile",
    "windowsOptions",
];

/// A user and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    pub user: u32,
    pub group: u32,
}

/// Restricts the pod as a whole.
pub(super) fn restrict_pod(
    spec: &mut Map<String, Value>,
    run_as: Option<RunAs>,
    notes: &mut Vec<String>,
) {
    let context = spec.entry("securityContext").or_insert_with(|| json!({}));
    let Some(context) = context.as_object_mut() else {
        return;
    };
    let dropped = without(context, &["sysctls", "appArmorProfile", "windowsOptions"]);
    let labels = context.get_mut("seLinuxOptions");
    let labels = labels.and_then(Value::as_object_mut);
    // The level says which volumes it may use; the rest is about power.
    let labels = labels.map_or_else(Vec::new, |all| without(all, &["user", "role", "type"]));
    let labels = labels.iter().map(|one| format!("seLinuxOptions.{one}"));
    tell(
        notes,
        "the pod",
        dropped.into_iter().chain(labels).collect(),
    );
    context.insert("runAsNonRoot".to_owned(), true.into());
    context.insert(
        "seccompProfile".to_owned(),
        json!({ "type": "RuntimeDefault" }),
    );
    if let Some(run_as) = run_as {
        let named = context.get("runAsUser").is_some_and(|user| *user != 0);
        if !named {
            context.insert("runAsUser".to_owned(), run_as.user.into());
            context.insert("runAsGroup".to_owned(), run_as.group.into());
            let RunAs { user, group } = run_as;
            notes.push(format!("the pod runs as {user}:{group}, as the drill says"));
        }
        context
            .entry("fsGroup")
            .or_insert_with(|| run_as.group.into());
    }
    context.insert("fsGroupChangePolicy".to_owned(), "OnRootMismatch".into());
}

/// Restricts a container.
///
/// # Errors
/// `Invalid` if it runs as root and the drill does not say as whom else.
pub(super) fn restrict_container(
    container: &mut Value,
    run_as: Option<RunAs>,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    let of_container = container.get("securityContext").cloned();
    let mut context = of_container
        .and_then(|c| c.as_object().cloned())
        .unwrap_or_default();
    if context.get("runAsUser").is_some_and(|user| *user == 0) {
        if run_as.is_none() {
            let message = format!("container {name} runs as root, which no sandbox allows");
            return Err(Failure::new(FailureKind::Invalid, message)
                .hint("say as whom it can run: sandbox.kubernetes.runAs in the drill"));
        }
        context.remove("runAsUser");
        context.remove("runAsGroup");
        notes.push(format!("{} does not run as root", named(container)));
    }
    // What the pod says as a whole.
    if context
        .get("seccompProfile")
        .is_some_and(|one| one["type"] == "RuntimeDefault")
    {
        context.remove("seccompProfile");
    }
    let mut dropped = without(&mut context, &POWERS);
    let added = context.get("capabilities").map(|all| list(&all["add"]));
    if added.is_some_and(|added| !added.is_empty()) {
        dropped.push("capabilities".to_owned());
    }
    tell(notes, &named(container), dropped);
    context.insert("runAsNonRoot".to_owned(), true.into());
    context.insert("allowPrivilegeEscalation".to_owned(), false.into());
    context.insert("capabilities".to_owned(), json!({ "drop": ["ALL"] }));
    container["securityContext"] = context.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTGRES: RunAs = RunAs {
        user: 999,
        group: 999,
    };

    #[test]
    fn a_named_user_stays_and_root_does_not() {
        let mut spec = Map::new();
        spec.insert(
            "securityContext".into(),
            json!({ "runAsUser": 26, "fsGroup": 27 }),
        );
        restrict_pod(&mut spec, Some(POSTGRES), &mut Vec::new());
        assert_eq!(spec["securityContext"]["runAsUser"], 26);
        assert_eq!(spec["securityContext"]["fsGroup"], 27);
        let mut spec = Map::new();
        spec.insert("securityContext".into(), json!({ "runAsUser": 0 }));
        restrict_pod(&mut spec, Some(POSTGRES), &mut Vec::new());
        assert_eq!(spec["securityContext"]["runAsUser"], 999);
        assert_eq!(spec["securityContext"]["fsGroup"], 999);
    }

    #[test]
    fn a_container_keeps_no_power() {
        let mut container = json!({ "name": "db", "securityContext": {
            "privileged": true, "runAsUser": 0, "readOnlyRootFilesystem": true,
            "capabilities": { "add": ["SYS_ADMIN"] }, "allowPrivilegeEscalation": true } });
        let failure =
            restrict_container(&mut container.clone(), None, &mut Vec::new()).unwrap_err();
        assert!(
            failure.message.contains("container db runs as root"),
            "{failure}"
        );
        let mut notes = Vec::new();
        restrict_container(&mut container, Some(POSTGRES), &mut notes).unwrap();
        assert_eq!(
            notes,
            [
                "container db does not run as root",
                "container db comes without privileged, allowPrivilegeEscalation, capabilities",
            ]
        );
        assert_eq!(
            container["securityContext"],
            json!({ "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                    "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
        );
    }
}
