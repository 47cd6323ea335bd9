//! Rights in scratch namespaces.
//!
//! Lifeboat's account may do next to nothing in the cluster's namespaces. In
//! one that a run has made it gives itself what a cluster's administrator has
//! written down for that, in one ClusterRole: it may bind this one, and no
//! other. Somebody who may do it all anyway needs no binding.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Kind, Maker, Permission, Scope},
};

/// The ClusterRole that is bound in sandboxes, where nobody says otherwise.
pub const SANDBOX_ROLE: &str = "lifeboat-sandbox";

/// The name of the binding.
const BINDING: &str = "lifeboat";

/// How long a binding may take to be known, and how often is asked.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Everything that is done in a sandbox.
#[must_use]
pub fn in_sandboxes() -> Vec<Permission> {
    use Kind::{
        ConfigMap, Event, LimitRange, NetworkPolicy, PersistentVolumeClaim, Pod, ResourceQuota,
        Secret, Service, ServiceAccount, VolumeSnapshot,
    };
    const MAKE: &[&str] = &["create"];
    const ALL: &[&str] = &["create", "get", "list", "watch", "delete"];
    let wanted: [(Kind, &[&'static str]); 11] = [
        (Pod, ALL),
        (PersistentVolumeClaim, ALL),
        (VolumeSnapshot, ALL),
        // The fence is put up before a recovery point and before a copy.
        (NetworkPolicy, &["create", "get"]),
        (ResourceQuota, &["create", "get", "list"]),
        (LimitRange, MAKE),
        (ConfigMap, MAKE),
        (Secret, MAKE),
        (Service, MAKE),
        (ServiceAccount, MAKE),
        (Event, &["list"]),
    ];
    let mut all = vec![Permission::new("get", Pod, Scope::Sandboxes).part("log")];
    for (kind, verbs) in wanted {
        let verbs = verbs.iter().copied();
        all.extend(verbs.map(|verb| Permission::new(verb, kind, Scope::Sandboxes)));
    }
    all
}

/// What giving oneself these rights needs.
#[must_use]
pub fn to_bind(role: &str) -> Vec<Permission> {
    vec![
        Permission::of_cluster("create", Kind::RoleBinding),
        Permission::of_cluster("bind", Kind::ClusterRole).of(role),
        Permission::of_cluster("get", Kind::ClusterRole).of(role),
    ]
}

/// Makes sure that we have all rights in a sandbox.
///
/// # Errors
/// With the rights that are missing in spite of the binding.
pub(super) async fn ensure(maker: &Maker, namespace: &str, role: &str) -> Result<(), Failure> {
    let wanted = in_sandboxes();
    let cluster = &maker.cluster;
    if cluster.may_all().await? || !cluster.needs_binding(namespace, &wanted).await? {
        return Ok(());
    }
    let body = binding(&cluster.who().await?, role);
    let made = maker
        .make(Kind::RoleBinding, Some(namespace), BINDING, body)
        .await;
    match made {
        // Ours from before, which may not be known yet.
        Err(failure) if failure.kind == FailureKind::Conflict => {}
        made => drop(made?),
    }
    let mut missing = Vec::new();
    let waiting = async {
        loop {
            missing = cluster.lacks(namespace, &wanted).await?;
            if missing.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let known = tokio::time::timeout(PATIENCE, waiting).await;
    known.unwrap_or_else(|_| Err(insufficient(role, &missing)))
}

fn insufficient(role: &str, missing: &[Permission]) -> Failure {
    let named: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let message = format!("ClusterRole {role} does not give: {}", named.join("; "));
    Failure::new(FailureKind::Denied, message)
        .hint("install the roles of this version of Lifeboat: deploy/kubernetes")
}

fn binding(user: &str, role: &str) -> Value {
    let group = Kind::RoleBinding.group();
    let subject = match user.strip_prefix("system:serviceaccount:") {
        Some(account) => {
            let (namespace, name) = account.split_once(':').unwrap_or_default();
            json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
        }
        None => json!({ "kind": "User", "apiGroup": group, "name": user }),
    };
    json!({
        "roleRef": { "apiGroup": group, "kind": Kind::ClusterRole.name(), "name": role },
        "subjects": [subject],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_names_whoever_asks() {
        let account = binding("system:serviceaccount:lifeboat:drills", "r");
        assert_eq!(
            account["subjects"],
            json!([{ "kind": "ServiceAccount", "namespace": "lifeboat", "name": "drills" }])
        );
        let person = binding("ada@example.org", "r");
        assert_eq!(person["subjects"][0]["kind"], "User");
        assert_eq!(person["subjects"][0]["name"], "ada@example.org");
        assert_eq!(person["roleRef"]["name"], "r");
    }

    #[test]
    fn no_secret_can_be_read_in_a_sandbox() {
        let mut of_secrets = in_sandboxes();
        of_secrets.retain(|one| one.kind == Kind::Secret);
        let verbs: Vec<_> = of_secrets.iter().map(|one| one.verb).collect();
        assert_eq!(verbs, ["create"]);
    }
}
