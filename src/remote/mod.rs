//! An engine that works somewhere else: its calls are carried out by an agent
//! in a pod, next to the data, and what comes of them is heard from there.
//!
//! Nothing but the API server is needed for that. Bulk data goes from pod to
//! volume and from volume to pod, never through here.

mod copy;
mod dump;
mod hearing;
mod inspect;
mod interlock;
mod objects;
mod policy;
mod preflight;
mod size;
mod snapshot;

pub use self::{
    copy::shared,
    snapshot::{BACKUP_LABEL, TABLESPACE_MAP},
};

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use self::{hearing::Hearing, inspect::Scene};
use crate::{
    agent::protocol::Done,
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        record::SourceFacts,
        recovery_point::RecoveryPoint,
        resource::ClusterRef,
    },
    engine::{Context, Copy, Fault, Instance, Restored, Source, Verification, VerifyRequest},
    k8s::{Cluster, Clusters},
    sandbox::Room,
    spec::drill::{Drill, KubernetesWorkload, RecoveryPointSource},
};

/// The engine, made for one drill and one run.
pub struct RemoteEngine {
    pub drill: Drill,
    pub workload: KubernetesWorkload,
    pub place: ClusterRef,
    /// The image that holds Lifeboat's binary.
    pub image: String,
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
    /// The source as an agent saw it.
    source: Option<SourceFacts>,
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
        let given = drill.kubernetes.clone().unwrap_or_default();
        Self {
            place: ClusterRef {
                kubeconfig: given.kubeconfig,
                context: given.context,
            },
            drill,
            workload,
            image,
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

    /// Waits for what the agent has to give next.
    async fn next(&self) -> Result<Done, Failure> {
        let mut state = self.state.lock().await;
        match &mut state.hearing {
            Some(hearing) => hearing.next().await,
            None => Err(Failure::new(FailureKind::Internal, "no agent was started")),
        }
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
    async fn preflight(&self, _cx: &Context) -> Vec<Finding> {
        self.try_everything().await
    }

    async fn inspect(&self, _cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        Ok(Some(self.scene().await?.facts(&self.cluster().await?.name)))
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        let Room::Namespace(namespace) = into else {
            return Err(not_here());
        };
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(wanted) => {
                self.cut_snapshots(cx, wanted, namespace).await
            }
            _ => self.dump(cx, namespace).await,
        }
    }

    async fn identify(&self, _cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        let message = format!("{} cannot be restored in Kubernetes", path.display());
        Err(Failure::new(FailureKind::Invalid, message))
    }

    async fn find(&self, cx: &Context) -> Result<RecoveryPoint, Failure> {
        match &self.drill.recovery_point {
            RecoveryPointSource::ExistingSnapshot(wanted) => self.find_snapshots(cx, wanted).await,
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
        let Room::Namespace(namespace) = room else {
            return Err(not_here());
        };
        self.start_copy(cx, point, namespace).await?;
        match self.next().await? {
            Done::Start => Ok(Instance {
                dir: std::path::PathBuf::new(),
                endpoint: serde_json::json!({ "namespace": namespace }),
            }),
            other => Err(out_of_step(&other)),
        }
    }

    async fn restore(
        &self,
        _cx: &Context,
        _point: &RecoveryPoint,
        _instance: &Instance,
    ) -> Result<Restored, Failure> {
        match self.next().await? {
            Done::Restore { facts, checks } => Ok(Restored { facts, checks }),
            other => Err(out_of_step(&other)),
        }
    }

    async fn serve(&self, _cx: &Context, _instance: &Instance) -> Result<(), Failure> {
        match self.next().await? {
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
        let verification = match self.next().await? {
            Done::Verify(verification) => verification,
            other => return Err(out_of_step(&other)),
        };
        let state = self.state.lock().await;
        if let Some(hearing) = &state.hearing {
            let lag = hearing.longest_lag().as_secs_f64();
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
        _cx: &Context,
        _faults: &[Fault],
        _instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        match self.next().await? {
            Done::Spoil(planted) => Ok(planted),
            other => Err(out_of_step(&other)),
        }
    }
}
