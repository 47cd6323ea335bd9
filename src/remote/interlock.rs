//! Nothing of production's is ever mounted in a sandbox: shown for every
//! volume, before any pod can use it.

use std::{collections::BTreeMap, time::Duration};

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{RemoteEngine, moment, storage};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        timeline::Milestone,
    },
    engine::Context,
    k8s::{self, Kind, Maker, Object},
    workload::{Part, rewrite::Rewritten},
};

/// How long a volume may take to be made.
const PATIENCE: Duration = Duration::from_mins(30);

/// How long the scheduler may take to find a node.
const SCHEDULING: Duration = Duration::from_mins(2);

/// What the scheduler writes on a claim that waits for its first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The pod that is to mount volumes, and the name of one that never runs: it is
/// only asked where it could.
pub(super) struct Consumer<'a> {
    pub pod: &'a Value,
    pub anchor: &'static str,
}

/// The anchor of the copy.
const ANCHOR: &str = "lifeboat-anchor";

impl RemoteEngine {
    /// Makes the copy's claims.
    pub(super) async fn make_claims(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        rewritten: &Rewritten,
    ) -> Result<(), Failure> {
        let consumer = Consumer {
            pod: &rewritten.pod.body,
            anchor: ANCHOR,
        };
        let volumes = self.make_volumes(cx, maker, namespace, &rewritten.claims, consumer);
        let bound = volumes.await?;
        let now = cx.clock.monotonic();
        cx.reached_ago(Milestone::StorageBound, now.saturating_sub(bound));
        Ok(())
    }

    /// Makes claims, waits until all are bound, and shows that none of their
    /// volumes is in use elsewhere. Before that no pod may be made that mounts
    /// them. Gives when the last one was bound, by our monotonic clock.
    pub(super) async fn make_volumes(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        wanted: &[Part],
        consumer: Consumer<'_>,
    ) -> Result<Duration, Failure> {
        let cluster = &maker.cluster;
        let mut node = None;
        let mut claims = Vec::new();
        for claim in wanted {
            let mut body = claim.body.clone();
            if storage::waits(&storage::class_for(cluster, &body).await?) {
                if node.is_none() {
                    node = Some(self.node(maker, namespace, &consumer).await?);
                }
                body["metadata"] = json!({ "annotations": { SELECTED_NODE: node } });
            }
            let made = maker.make(claim.kind, Some(namespace), &claim.name, body);
            let claim = made.await?;
            claims.push((claim, cx.clock.monotonic()));
        }
        let mut bound = Vec::new();
        for (claim, _) in &claims {
            let volume = self.bound(namespace, claim).await?;
            bound.push((volume, cx.clock.monotonic()));
        }
        let claimed = claims.iter().zip(&bound);
        let claimed = claimed.map(|((claim, _), (volume, _))| k8s::Claimed {
            claim: claim.uid(),
            volume: volume.clone(),
        });
        let all = cluster.volumes(&claimed.collect::<Vec<_>>()).await?;
        let all = all.iter().map(AsRef::as_ref);
        let shared = k8s::shared(all.clone(), namespace);
        let mut last = Duration::ZERO;
        for ((claim, made), (name, seen)) in claims.iter().zip(&bound) {
            let volume = all.clone().find(|volume| volume.name_any() == *name);
            let missing = || k8s::missing(Kind::PersistentVolume, None, name);
            let volume = volume.ok_or_else(missing)?;
            nobody_elses(&shared, volume, namespace)?;
            let instant = moment::of(moment::created(claim), moment::bound(volume), *made);
            last = last.max(instant.map_or(*seen, |instant| instant.min(*seen)));
        }
        Ok(last)
    }

    /// Waits until a claim has its volume; gives the volume's name.
    async fn bound(&self, namespace: &str, claim: &Object) -> Result<String, Failure> {
        let cluster = &self.cluster().await?;
        let which = (Kind::PersistentVolumeClaim, claim);
        let bound = k8s::until_after(cluster, which, PATIENCE, |object| {
            let claim = object.filter(|claim| k8s::is_bound(claim));
            let volume = claim.and_then(|claim| claim.data.pointer("/spec/volumeName")?.as_str());
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

    /// The node on which the scheduler would put a pod.
    ///
    /// A class that waits for its first consumer makes no volume before there
    /// is a pod; but a pod that is there could mount the volume before it is
    /// looked at. So the scheduler is asked by a pod that needs no volume.
    async fn node(
        &self,
        maker: &Maker,
        namespace: &str,
        consumer: &Consumer<'_>,
    ) -> Result<String, Failure> {
        let (mut body, name) = (consumer.pod.clone(), consumer.anchor);
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
        let anchor = maker.make(Kind::Pod, Some(namespace), name, body).await?;
        let cluster = &self.cluster().await?;
        let node = k8s::until_after(cluster, (Kind::Pod, &anchor), SCHEDULING, |object| {
            let node = object.and_then(|object| object.data.pointer("/spec/nodeName")?.as_str());
            Ok(node.map(str::to_owned))
        });
        let node = match node.await {
            Ok(node) => node,
            Err(failure) => {
                let lines = k8s::diagnose_namespace(cluster, namespace).await;
                let no_node = format!("no node takes the pod that {name} stands for");
                return Err(failure.context(no_node).diagnosis(lines));
            }
        };
        cluster.remove(maker.run, Kind::Pod, anchor).await?;
        Ok(node)
    }
}

/// Shows that a volume of ours can be told from all others, and is none of
/// those that are `shared`.
fn nobody_elses(
    shared: &BTreeMap<String, String>,
    ours: &Object,
    namespace: &str,
) -> Result<(), Failure> {
    let name = ours.name_any();
    if !k8s::claimed_in(ours, namespace) {
        let message = format!("volume {name} is not the sandbox's, though its claim says so");
        return Err(Failure::new(FailureKind::Conflict, message));
    }
    if k8s::handle(ours).is_none() {
        let message = format!("volume {name} is not of a CSI driver: it cannot be told apart");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    match shared.get(&name) {
        None => Ok(()),
        Some(other) => {
            let message = format!("volume {name} of the sandbox is the same as {other}: stopped");
            Err(Failure::new(FailureKind::Conflict, message)
                .hint("the storage driver gave out a volume that is in use"))
        }
    }
}
