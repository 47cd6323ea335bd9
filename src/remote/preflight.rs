//! Trying out what a drill in Kubernetes will need, before anything is made.

use super::RemoteEngine;
use crate::{
    domain::check::Finding,
    k8s::{Kind, Permission},
    spec::drill::RecoveryPointSource,
};

impl RemoteEngine {
    /// Rights, objects and classes, each with what to do about it.
    pub(super) async fn try_everything(&self) -> Vec<Finding> {
        let cluster = match self.cluster().await {
            Ok(cluster) => cluster,
            Err(failure) => return vec![finding("cluster", &failure)],
        };
        let mut findings = vec![Finding::ok("cluster", cluster.name.clone())];
        match cluster.access(self.permissions()).await {
            Ok(answers) => {
                let (allowed, missing): (Vec<_>, Vec<_>) =
                    answers.into_iter().partition(|answer| answer.allowed);
                let count = allowed.len();
                findings.push(Finding::ok(
                    "rights",
                    format!("{count} permissions granted"),
                ));
                findings.extend(missing.into_iter().map(|answer| {
                    Finding::error("rights", format!("missing: {}", answer.permission))
                        .hint("see the roles in docs/kubernetes.md")
                }));
            }
            Err(failure) => findings.push(finding("rights", &failure)),
        }
        match self.scene().await {
            Ok(scene) => {
                let what = format!(
                    "container {} ({}), volumes {}",
                    scene.container,
                    scene.image,
                    scene.volumes.join(", ")
                );
                findings.push(Finding::ok("workload", what));
            }
            Err(failure) => findings.push(finding("workload", &failure)),
        }
        if self.image.is_empty() {
            let message = "the image with Lifeboat's binary is not named";
            findings.push(Finding::error("image", message).hint("set LIFEBOAT_IMAGE"));
        }
        findings
    }

    /// Everything that a run of this drill does at the API server.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        use Kind::{
            ConfigMap, Event, LimitRange, Namespace, NetworkPolicy, PersistentVolume,
            PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service, ServiceAccount,
            StatefulSet, StorageClass, VolumeSnapshot, VolumeSnapshotContent,
        };
        let mut all = Vec::new();
        let mut add = |verbs: &[&'static str], kind: Kind, namespace: Option<&str>| {
            all.extend(
                verbs
                    .iter()
                    .map(|verb| Permission::new(verb, kind, namespace)),
            );
        };
        let change = ["create", "delete"];
        let look = ["get", "list", "watch"];
        add(&look, Namespace, None);
        add(&change, Namespace, None);
        add(&look, PersistentVolume, None);
        add(&["get", "list"], StorageClass, None);
        let home = Some(self.workload.namespace.as_str());
        if self.workload.manifests.is_empty() {
            for kind in [
                StatefulSet,
                ConfigMap,
                Service,
                ServiceAccount,
                PersistentVolumeClaim,
            ] {
                add(&["get"], kind, home);
            }
            add(&["list"], Service, home);
        }
        // A namespace that is not there yet: what holds for all holds for it.
        for kind in [
            ConfigMap,
            Secret,
            Service,
            ServiceAccount,
            NetworkPolicy,
            ResourceQuota,
            LimitRange,
        ] {
            add(&["create", "get"], kind, None);
        }
        for kind in [Pod, PersistentVolumeClaim, VolumeSnapshot] {
            add(&look, kind, None);
            add(&change, kind, None);
        }
        add(&["list"], Event, None);
        add(&look, VolumeSnapshotContent, None);
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(_) => {
                add(&change, VolumeSnapshotContent, None);
                add(&["create", "delete"], VolumeSnapshot, home);
                add(&look, VolumeSnapshot, home);
            }
            RecoveryPointSource::ExistingSnapshot(_) => {
                add(&change, VolumeSnapshotContent, None);
                add(&["get", "list"], VolumeSnapshot, home);
            }
            _ => {}
        }
        all.push(Permission::new("get", Pod, None).part("log"));
        all
    }
}

fn finding(subject: &str, failure: &crate::domain::failure::Failure) -> Finding {
    let finding = Finding::error(subject, failure.message.clone());
    match &failure.hint {
        Some(hint) => finding.hint(hint.clone()),
        None => finding,
    }
}
