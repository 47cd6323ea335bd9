//! An engine that works somewhere else: its calls are carried out by an agent
//! in a pod, next to the data, and what comes of them is heard from there.
//!
//! Nothing but the API server is needed for that. Bulk data goes from pod to
//! volume and from volume to pod, never through here.

mod access;
mod bucket;
mod classes;
mod copy;
pub mod doctor;
mod dump;
mod hearing;
mod inspect;
mod interlock;
mod moment;
mod objects;
mod outside;
mod phases;
mod policy;
mod preflight;
mod resume;
pub mod rights;
mod size;
mod snapshot;
mod storage;
mod tie;
mod worker;

pub use self::{
    access::{clear, newest},
    copy::shared,
    snapshot::{BACKUP_LABEL, TABLESPACE_MAP},
};

use std::{cmp::Reverse, collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use kube::ResourceExt;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use self::{hearing::Hearing, inspect::Scene};
use crate::{
    agent::protocol::Done,
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        record::{Fence, Phase, SourceFacts},
        recovery_point::RecoveryPoint,
        resource::ClusterRef,
        step::Step,
    },
    engine::{Context, Copy, Fault, Instance, Restored, Source, Verification, VerifyRequest},
    k8s::{self, Cluster, Clusters, Kind, Object},
    sandbox::{Room, kubernetes::SANDBOX_ROLE},
    spec::drill::{Drill, KubernetesWorkload, RecoveryPointSource},
};

/// How long the status of a pod that works may lag behind.
const STATUS: Duration = Duration::from_secs(2);

/// The engine, made for one drill and one run.
pub struct RemoteEngine {
    pub drill: Drill,
    pub workload: KubernetesWorkload,
    pub place: ClusterRef,
    /// The image that holds Lifeboat's binary.
    pub image: String,
    /// Whether somebody has named it.
    pub image_is_named: bool,
    /// The ClusterRole with the rights in a sandbox.
    pub role: String,
    /// What the engine itself has to say about its server's start.
    pub arguments: Vec<String>,
    /// What is spoilt in the copy: the agent has to know from the start.
    pub faults: Vec<Fault>,
    clusters: Clusters,
    scene: OnceCell<Arc<Scene>>,
    state: Mutex<State>,
}

/// What the steps leave for each other.
#[derive(Default)]
struct State {
    hearing: Option<Hearing>,
    /// How long it took to fetch the dump from its bucket.
    fetched: Option<Phase>,
    /// The container of the copy's engine.
    container: String,
    /// Whether the Secrets to pull images with are in the sandbox.
    can_pull: bool,
    /// The contents of the snapshots that the run has cut, by name: nobody else
    /// has a claim to them, so they need not be looked at again.
    contents: BTreeMap<String, Object>,
    /// The source as an agent saw it.
    source: Option<SourceFacts>,
    /// What our own pods found of the fence.
    fences: Vec<Fence>,
}

impl RemoteEngine {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(
        drill: Drill,
        workload: KubernetesWorkload,
        image: String,
        clusters: Clusters,
    ) -> Self {
        Self {
            place: drill.cluster(),
            drill,
            workload,
            image,
            image_is_named: true,
            role: SANDBOX_ROLE.to_owned(),
            arguments: Vec::new(),
            faults: Vec::new(),
            clusters,
            scene: OnceCell::new(),
            state: Mutex::default(),
        }
    }

    async fn cluster(&self) -> Result<Cluster, Failure> {
        self.clusters.get(&self.place).await
    }

    /// The workload's objects, looked at once per run.
    async fn scene(&self) -> Result<Arc<Scene>, Failure> {
        let scene = self
            .scene
            .get_or_try_init(|| async { self.look().await.map(Arc::new) });
        scene.await.cloned()
    }

    /// Waits for what the copy's agent has to give next.
    async fn next(&self, cx: &Context) -> Result<Done, Failure> {
        let mut state = self.state.lock().await;
        let Some(hearing) = &mut state.hearing else {
            return Err(Failure::new(FailureKind::Internal, "no agent was started"));
        };
        let heard = hearing.next().await;
        let pod = hearing.pod.clone();
        match heard {
            Err(failure) if !cx.cancel.is_cancelled() => Err(self.explain(&pod, failure).await),
            heard => heard,
        }
    }

    /// Where the time went before the copy's engine was there.
    async fn pod_phases(&self) -> Result<Vec<Phase>, Failure> {
        let (pod, container) = {
            let state = self.state.lock().await;
            let pod = state.hearing.as_ref().map(|hearing| hearing.pod.clone());
            (pod, state.container.clone())
        };
        let Some(pod) = pod else {
            return Ok(Vec::new());
        };
        let cluster = self.cluster().await?;
        let mut known = Vec::new();
        // Its agent may be heard before the pod's status tells what has been.
        let told = k8s::until_after(&cluster, (Kind::Pod, &pod), STATUS, |pod| {
            let Some(pod) = pod else {
                return Ok(Some(()));
            };
            known = phases::of_pod(pod, &container);
            Ok(phases::is_up(pod, &container).then_some(()))
        });
        match told.await {
            Err(failure) if failure.kind != FailureKind::Timeout => Err(failure),
            _ => Ok(known),
        }
    }

    /// A copy whose pod is ended by somebody else fails in many ways: what
    /// matters is that it was ended. Else how things look there may tell more.
    async fn explain(&self, pod: &Object, failure: Failure) -> Failure {
        let Ok(cluster) = self.cluster().await else {
            return failure;
        };
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let found = cluster.get(Kind::Pod, Some(&namespace), &name).await;
        if found.is_ok_and(|found| found.as_ref().is_none_or(k8s::is_going)) {
            let message = format!("pod {name} was ended by somebody else");
            return Failure::new(FailureKind::Unavailable, message)
                .hint("see who deletes or evicts pods there: a drain, a policy, a person")
                .diagnosis([failure.message]);
        }
        if !failure.diagnosis.is_empty() {
            return failure;
        }
        let lines = k8s::diagnose_namespace(&cluster, &namespace).await;
        failure.diagnosis(lines)
    }
}

fn instance(namespace: &str) -> Instance {
    Instance {
        dir: std::path::PathBuf::new(),
        endpoint: serde_json::json!({ "namespace": namespace }),
    }
}

fn out_of_step(done: &Done) -> Failure {
    let message = format!("the agent told of another step: {done:?}");
    Failure::new(
        FailureKind::Internal,
        message.chars().take(200).collect::<String>(),
    )
}

#[async_trait]
impl Source for RemoteEngine {
    async fn preflight(&self, cx: &Context, _scratch: &Path) -> Vec<Finding> {
        self.try_everything(cx).await
    }

    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        self.could_clear(cx).await?;
        Ok(Some(self.scene().await?.facts(&self.cluster().await?.name)))
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        let Room::Namespace { name, .. } = into else {
            return Err(not_here());
        };
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(wanted) => self.cut_snapshots(cx, wanted, name).await,
            _ => Box::pin(self.dump(cx, name)).await,
        }
    }

    async fn identify(&self, _cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        let message = format!("{} cannot be restored in Kubernetes", path.display());
        Err(Failure::new(FailureKind::Invalid, message))
    }

    async fn find(&self, cx: &Context, within: Option<&Room>) -> Result<RecoveryPoint, Failure> {
        match (&self.drill.recovery_point, within) {
            (RecoveryPointSource::ExistingSnapshot(wanted), _) => {
                self.find_snapshots(cx, wanted).await
            }
            (RecoveryPointSource::Existing(_), Some(Room::Namespace { name, .. })) => {
                self.find_stored(cx, name).await
            }
            _ => Err(not_here()),
        }
    }
}

fn not_here() -> Failure {
    Failure::new(
        FailureKind::Invalid,
        "this combination cannot be drilled in Kubernetes",
    )
}

#[async_trait]
impl Copy for RemoteEngine {
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        _source: Option<&SourceFacts>,
        room: &Room,
    ) -> Result<Instance, Failure> {
        let Room::Namespace { name, uid } = room else {
            return Err(not_here());
        };
        Box::pin(self.start_copy(cx, point, (name, uid.as_deref()))).await?;
        match self.next(cx).await? {
            Done::Start => Ok(instance(name)),
            other => Err(out_of_step(&other)),
        }
    }

    async fn handle(&self, cx: &Context) -> Result<Option<Value>, Failure> {
        self.written_down(cx).await.map(Some)
    }

    async fn resume(&self, cx: &Context, handle: &Value, done: Step) -> Result<Instance, Failure> {
        let namespace = self.hear_again(cx, handle, done).await?;
        Ok(instance(&namespace))
    }

    async fn restore(
        &self,
        cx: &Context,
        _point: &RecoveryPoint,
        _instance: &Instance,
    ) -> Result<Restored, Failure> {
        match self.next(cx).await? {
            Done::Restore { mut facts, checks } => {
                facts.critical_path.extend(self.pod_phases().await?);
                let mut state = self.state.lock().await;
                facts.critical_path.extend(state.fetched.take());
                let fences = state.fences.drain(..);
                facts.fence = fences.fold(facts.fence, Fence::tried_by);
                facts
                    .critical_path
                    .sort_by_key(|phase| Reverse(phase.elapsed_ms));
                Ok(Restored { facts, checks })
            }
            other => Err(out_of_step(&other)),
        }
    }

    async fn serve(&self, cx: &Context, _instance: &Instance) -> Result<(), Failure> {
        match self.next(cx).await? {
            Done::Serve => Ok(()),
            other => Err(out_of_step(&other)),
        }
    }

    async fn verify(
        &self,
        cx: &Context,
        _request: VerifyRequest<'_>,
        _instance: &Instance,
    ) -> Result<Verification, Failure> {
        let verification = match self.next(cx).await? {
            Done::Verify(verification) => verification,
            other => return Err(out_of_step(&other)),
        };
        // The agent has nothing more to say.
        let hearing = self.state.lock().await.hearing.take();
        if let Some(lag) = hearing.and_then(|hearing| hearing.longest_lag()) {
            let lag = lag.as_secs_f64();
            cx.note(format!(
                "the agent was heard at most {lag:.3} s after it spoke"
            ));
        }
        let requests = self.cluster().await?.requests();
        cx.note(format!("{requests} requests to the API server so far"));
        Ok(verification)
    }

    async fn spoil(
        &self,
        cx: &Context,
        _faults: &[Fault],
        _instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        match self.next(cx).await? {
            Done::Spoil(planted) => Ok(planted),
            other => Err(out_of_step(&other)),
        }
    }
}
