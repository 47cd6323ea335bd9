//! Nothing of production's is ever mounted in a sandbox: shown for every
//! volume, before any pod can use it.

use std::{collections::BTreeMap, time::Duration};

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{RemoteEngine, storage};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        timeline::Milestone,
    },
    engine::Context,
    k8s::{self, Cluster, Kind, Maker, Object},
    workload::rewrite::Rewritten,
};

/// How long a volume may take to be made.
const PATIENCE: Duration = Duration::from_mins(30);

/// How long the scheduler may take to find a node.
const SCHEDULING: Duration = Duration::from_mins(2);

/// What the scheduler writes on a claim that waits for its first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// A pod that never runs: it is only asked where it could.
const ANCHOR: &str = "lifeboat-anchor";

impl RemoteEngine {
    /// Makes the claims, waits until all are bound, and shows that none of
    /// their volumes is in use elsewhere.
    pub(super) async fn make_claims(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        rewritten: &Rewritten,
    ) -> Result<(), Failure> {
        let cluster = &self.cluster().await?;
        let mut node = None;
        let mut claims = Vec::new();
        for claim in &rewritten.claims {
            let mut body = claim.body.clone();
            if storage::waits(&storage::class_for(cluster, &body).await?) {
                if node.is_none() {
                    node = Some(self.node(maker, namespace, rewritten).await?);
                }
                body["metadata"] = json!({ "annotations": { SELECTED_NODE: node } });
            }
            let made = maker.make(claim.kind, Some(namespace), &claim.name, body);
            claims.push(made.await?);
        }
        let mut volumes = Vec::new();
        for claim in &claims {
            volumes.push(self.bound(namespace, claim).await?);
        }
        cx.reached(Milestone::StorageBound);
        nobody_elses(cluster, namespace, &volumes).await
    }

    /// Waits until a claim has its volume; gives the volume's name.
    async fn bound(&self, namespace: &str, claim: &Object) -> Result<String, Failure> {
        let cluster = &self.cluster().await?;
        let which = (Kind::PersistentVolumeClaim, claim);
        let bound = k8s::until_after(cluster, which, PATIENCE, |object| {
            let data = object.map(|object| &object.data);
            let phase = data.and_then(|data| data.pointer("/status/phase"));
            if phase.is_none_or(|phase| phase != "Bound") {
                return Ok(None);
            }
            let volume = data.and_then(|data| data.pointer("/spec/volumeName")?.as_str());
            Ok(volume.map(str::to_owned))
        });
        match bound.await {
            Ok(volume) => Ok(volume),
            Err(failure) => {
                let lines = k8s::diagnose_namespace(cluster, namespace).await;
                Err(failure.context("no volume was made").diagnosis(lines))
            }
        }
    }

    /// The node on which the scheduler would put the copy.
    ///
    /// A class that waits for its first consumer makes no volume before there
    /// is a pod; but a pod that is there could mount the volume before it is
    /// looked at. So the scheduler is asked by a pod that needs no volume.
    async fn node(
        &self,
        maker: &Maker,
        namespace: &str,
        rewritten: &Rewritten,
    ) -> Result<String, Failure> {
        let mut body = rewritten.pod.body.clone();
        body["metadata"] = json!({});
        body["spec"]["volumes"] = json!([]);
        body["spec"]["initContainers"] = json!([]);
        if let Some(containers) = body["spec"]["containers"].as_array_mut() {
            for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                container.remove("volumeMounts");
                // A volume of its own would be missing; it need not start.
                container.insert("command".to_owned(), json!(["/bin/true"]));
                container.insert("envFrom".to_owned(), json!([]));
                container.insert("env".to_owned(), json!([]));
            }
        }
        let anchor = maker.make(Kind::Pod, Some(namespace), ANCHOR, body).await?;
        let cluster = &self.cluster().await?;
        let node = k8s::until_after(cluster, (Kind::Pod, &anchor), SCHEDULING, |object| {
            let node = object.and_then(|object| object.data.pointer("/spec/nodeName")?.as_str());
            Ok(node.map(str::to_owned))
        });
        let node = match node.await {
            Ok(node) => node,
            Err(failure) => {
                let lines = k8s::diagnose_namespace(cluster, namespace).await;
                return Err(failure.context("no node takes the copy").diagnosis(lines));
            }
        };
        cluster
            .remove(maker.run, Kind::Pod, Some(namespace), ANCHOR)
            .await?;
        Ok(node)
    }
}

/// Holds the driver's own name of every volume of ours against all others.
async fn nobody_elses(cluster: &Cluster, namespace: &str, ours: &[String]) -> Result<(), Failure> {
    let all = cluster.list(Kind::PersistentVolume, None, "").await?;
    let mut elsewhere: BTreeMap<(String, String), String> = BTreeMap::new();
    for volume in &all {
        if let Some(handle) = handle(volume)
            && !claimed_in(volume, namespace)
        {
            elsewhere.insert(handle, volume.name_any());
        }
    }
    for name in ours {
        let Some(volume) = all.iter().find(|volume| volume.name_any() == *name) else {
            let what = Kind::PersistentVolume.named(None, name);
            return Err(Failure::new(
                FailureKind::NotFound,
                format!("there is no {what}"),
            ));
        };
        let Some(handle) = handle(volume) else {
            let message = format!("volume {name} is not of a CSI driver: it cannot be told apart");
            return Err(Failure::new(FailureKind::Invalid, message));
        };
        if let Some(other) = elsewhere.get(&handle) {
            let message = format!("volume {name} of the sandbox is the same as {other}: stopped");
            return Err(Failure::new(FailureKind::Conflict, message)
                .hint("the storage driver gave out a volume that is in use"));
        }
    }
    Ok(())
}

fn handle(volume: &Object) -> Option<(String, String)> {
    let csi = volume.data.pointer("/spec/csi")?;
    let text = |field: &str| csi[field].as_str().map(str::to_owned);
    Some((text("driver")?, text("volumeHandle")?))
}

fn claimed_in(volume: &Object, namespace: &str) -> bool {
    let of = volume.data.pointer("/spec/claimRef/namespace");
    of.is_some_and(|of| of == namespace)
}
