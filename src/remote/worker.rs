//! Lifeboat's own pods: each is told its task, does it, and is removed.

use std::time::Duration;

use super::{RemoteEngine, hearing::Hearing};
use crate::{
    agent::protocol::{Done, Work},
    domain::failure::Failure,
    engine::Context,
    k8s::{self, Kind, Maker},
};

/// One of them: its name, its role, and its claims with the directories that
/// they are mounted at.
pub(super) type WorkerPod<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// How long a pod may take to go.
const PATIENCE: Duration = Duration::from_mins(2);

impl RemoteEngine {
    /// Has a pod do some work, and removes it.
    pub(super) async fn done_by(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        pod: WorkerPod<'_>,
        work: Work,
    ) -> Result<Done, Failure> {
        let mut hearing = self.worker_pod(cx, maker, namespace, pod, work).await?;
        let done = self.diagnosed(namespace, hearing.next().await).await?;
        // It has nothing more to say.
        let pod = hearing.over();
        // A volume can be mounted on one node at a time.
        maker
            .cluster
            .remove_and_wait(cx.run, Kind::Pod, pod, PATIENCE)
            .await?;
        Ok(done)
    }

    /// Starts one, with its task.
    pub(super) async fn worker_pod(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        (name, role, claims): WorkerPod<'_>,
        work: Work,
    ) -> Result<Hearing, Failure> {
        self.make_task(cx, maker, namespace, name, work).await?;
        self.make_pull_secrets(maker, namespace).await?;
        let body = self.worker(name, role, claims).await?;
        let pod = maker.make(Kind::Pod, Some(namespace), name, body).await?;
        Ok(Hearing::begin(cx, &maker.cluster, pod))
    }

    /// Adds to a failure how things look in the namespace.
    pub(super) async fn diagnosed<T>(
        &self,
        namespace: &str,
        result: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match result {
            Err(failure) if failure.diagnosis.is_empty() => {
                let cluster = &self.cluster().await?;
                Err(failure.diagnosis(k8s::diagnose_namespace(cluster, namespace).await))
            }
            other => other,
        }
    }
}
