//! What a drill has to be allowed, and whether it is.
//!
//! The roles in `deploy/kubernetes` grant exactly this; a test holds them
//! against each other, and against what drills are seen to do.

use crate::{
    domain::{check::Finding, failure::Failure},
    k8s::{Cluster, Kind, Permission, Scope},
    sandbox::kubernetes::{in_sandboxes, to_bind},
};

/// Which kinds of recovery points are to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Snapshots are imported into sandboxes.
    pub snapshots: bool,
    /// They are cut by the run.
    pub cuts: bool,
    /// Several volumes are.
    pub groups: bool,
}

impl Extent {
    /// Every drill that there can be.
    pub const ALL: Self = Self {
        snapshots: true,
        cuts: true,
        groups: true,
    };
}

/// What is needed outside of all workloads' namespaces and of sandboxes.
#[must_use]
pub fn in_cluster(extent: Extent) -> Vec<Permission> {
    use Kind::{
        Namespace, PersistentVolume, StorageClass, VolumeGroupSnapshotClass, VolumeSnapshotClass,
        VolumeSnapshotContent,
    };
    let mut all = Vec::new();
    let mut add = |verbs: &[&'static str], kind| {
        let verbs = verbs.iter().copied();
        all.extend(verbs.map(|verb| Permission::of_cluster(verb, kind)));
    };
    add(&["create", "get", "list", "watch", "delete"], Namespace);
    add(&["list", "watch"], PersistentVolume);
    add(&["list"], StorageClass);
    add(&["list"], VolumeSnapshotContent);
    if extent.snapshots {
        add(&["create", "get", "watch", "delete"], VolumeSnapshotContent);
    }
    if extent.cuts {
        add(&["list"], VolumeSnapshotClass);
    }
    if extent.groups {
        add(&["list"], VolumeGroupSnapshotClass);
    }
    all
}

/// What reading a workload's objects needs in its namespace, Secrets apart:
/// these are granted by name.
#[must_use]
pub fn to_gather(namespace: &str) -> Vec<Permission> {
    use Kind::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount, StatefulSet};
    let read = [
        StatefulSet,
        ConfigMap,
        ServiceAccount,
        PersistentVolumeClaim,
    ];
    let scope = Scope::Namespace(namespace.to_owned());
    let mut all: Vec<Permission> = read
        .into_iter()
        .map(|kind| Permission::new("get", kind, scope.clone()))
        .collect();
    all.extend(["get", "list"].map(|verb| Permission::new(verb, Service, scope.clone())));
    all
}

/// What finding snapshots in a workload's namespace needs.
#[must_use]
pub fn to_find_snapshots(namespace: &str) -> Vec<Permission> {
    let scope = Scope::Namespace(namespace.to_owned());
    ["get", "list"]
        .map(|verb| Permission::new(verb, Kind::VolumeSnapshot, scope.clone()))
        .into()
}

/// What cutting them needs, and removing what was cut.
#[must_use]
pub fn to_cut_snapshots(namespace: &str, groups: bool) -> Vec<Permission> {
    const ALL: &[&str] = &["create", "get", "list", "watch", "delete"];
    // A run that died may have been one of another version of the drill.
    let of_groups = if groups { ALL } else { &["list"] };
    let wanted = [
        (Kind::PersistentVolumeClaim, &["get"][..]),
        (Kind::VolumeSnapshot, ALL),
        (Kind::VolumeGroupSnapshot, of_groups),
    ];
    let scope = Scope::Namespace(namespace.to_owned());
    let of_kind = |(kind, verbs): (Kind, &[&'static str])| {
        let verbs = verbs.iter().copied();
        verbs
            .map(|verb| Permission::new(verb, kind, scope.clone()))
            .collect::<Vec<_>>()
    };
    wanted.into_iter().flat_map(of_kind).collect()
}

/// One value of a Secret.
#[must_use]
pub fn to_read_secret(namespace: &str, name: &str) -> Permission {
    Permission::new("get", Kind::Secret, Scope::Namespace(namespace.to_owned())).of(name)
}

/// Asks for the permissions and for all those in sandboxes, and names what is
/// missing. What the cluster does not know nobody has to be allowed.
///
/// # Errors
/// If the API server cannot be asked.
pub(super) async fn ask(
    cluster: &Cluster,
    role: &str,
    outside: Vec<Permission>,
) -> Result<Vec<Finding>, Failure> {
    let mut wanted = Vec::new();
    for permission in outside.into_iter().chain(in_sandboxes()) {
        if cluster.knows(permission.kind).await? && !wanted.contains(&permission) {
            wanted.push(permission);
        }
    }
    let answers = cluster.access(wanted).await?;
    let (granted, denied): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.allowed);
    let denied = denied.into_iter().map(|answer| answer.permission);
    let (by_binding, mut missing): (Vec<_>, Vec<_>) =
        denied.partition(|permission| permission.scope == Scope::Sandboxes);
    let mut findings = Vec::new();
    let mut count = granted.len();
    if !by_binding.is_empty() {
        let wanted = by_binding.len();
        match through_role(cluster, role, by_binding, &mut missing).await? {
            Ok(lacking) => {
                count += wanted - lacking.len();
                missing.extend(lacking);
            }
            Err(finding) => findings.push(finding),
        }
    }
    if missing.is_empty() && findings.is_empty() {
        return Ok(vec![Finding::ok(
            "rights",
            format!("{count} permissions granted"),
        )]);
    }
    findings.extend(missing.iter().map(|permission| absent(permission, role)));
    Ok(findings)
}

/// Which of the permissions a binding of the role would not give. What binding
/// itself lacks comes to `missing`.
async fn through_role(
    cluster: &Cluster,
    role: &str,
    wanted: Vec<Permission>,
    missing: &mut Vec<Permission>,
) -> Result<Result<Vec<Permission>, Finding>, Failure> {
    let mut readable = true;
    for answer in cluster.access(to_bind(role)).await? {
        if !answer.allowed {
            readable &= answer.permission.verb != "get";
            missing.push(answer.permission);
        }
    }
    if !readable {
        let message = format!("untested in sandboxes: ClusterRole {role} may not be read");
        return Ok(Err(Finding::warning("rights", message)));
    }
    let Some(rules) = cluster.role(role).await? else {
        let message = format!("there is no ClusterRole {role} with the rights in sandboxes");
        return Ok(Err(Finding::error("rights", message).hint(INSTALL)));
    };
    let lacking = wanted
        .into_iter()
        .filter(|permission| !rules.iter().any(|rule| rule.grants(permission)));
    Ok(Ok(lacking.collect()))
}

const INSTALL: &str = "install the roles of this version of Lifeboat: deploy/kubernetes";

fn absent(permission: &Permission, role: &str) -> Finding {
    let finding = Finding::error("rights", format!("missing: {permission}"));
    finding.hint(match &permission.scope {
        Scope::Cluster => INSTALL.to_owned(),
        Scope::Sandboxes => format!("ClusterRole {role} gives it: deploy/kubernetes"),
        Scope::Namespace(name) => format!(
            "whoever owns {name} grants it: deploy/kubernetes/source, see docs/kubernetes.md"
        ),
    })
}
