//! Taking up a copy that another process has brought up.
//!
//! From its first word on the agent needs nobody: it loads, shows that the copy
//! serves and checks it, and says what comes of it on its pod's output, from
//! where it can be read again from the first line on.

use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RemoteEngine, hearing::Hearing, tie::Tied};
use crate::{
    agent::protocol,
    domain::{
        failure::{Failure, FailureKind},
        record::{Fence, Phase},
        step::Step,
    },
    engine::Context,
    k8s::{self, Kind},
};

/// By what another process finds a copy, and what it has to know of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handle {
    /// The shape of what the agent says.
    protocol: u32,
    namespace: String,
    pod: String,
    uid: String,
    /// The engine's.
    container: String,
    tied: Tied,
    /// How long it took to fetch the dump from its bucket.
    fetched: Option<Phase>,
    /// What our own pods found of the fence before.
    fences: Vec<Fence>,
}

impl RemoteEngine {
    /// By what the copy is found whose agent is listened to.
    pub(super) async fn written_down(&self, cx: &Context) -> Result<Value, Failure> {
        let mut state = self.state.lock().await;
        let nobody = |what: &str| Failure::new(FailureKind::Internal, what);
        let hearing = state.hearing.as_mut();
        let hearing = hearing.ok_or_else(|| nobody("nobody listens to the copy"))?;
        let tied = hearing.tied(cx).await;
        let tied = tied.ok_or_else(|| nobody("the copy's agent says nothing"))?;
        let pod = hearing.pod.clone();
        let handle = Handle {
            protocol: protocol::VERSION,
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            container: state.container.clone(),
            tied,
            fetched: state.fetched.clone(),
            fences: state.fences.clone(),
        };
        serde_json::to_value(handle).map_err(|error| odd(&error))
    }

    /// Listens to a copy once more, from its agent's first word on. Gives its
    /// namespace.
    pub(super) async fn hear_again(
        &self,
        cx: &Context,
        handle: &Value,
        done: Step,
    ) -> Result<String, Failure> {
        let handle = Handle::deserialize(handle).map_err(|error| odd(&error))?;
        if handle.protocol != protocol::VERSION {
            let message = "its agent is of a version that says things in another way";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let cluster = self.cluster().await?;
        let (namespace, name) = (Some(handle.namespace.as_str()), &handle.pod);
        let pod = cluster.get(Kind::Pod, namespace, name).await?;
        let same = pod.filter(|pod| {
            let is_it = pod.uid().as_ref() == Some(&handle.uid);
            is_it && k8s::run_of(pod) == Some(cx.run) && !k8s::is_going(pod)
        });
        let pod = same.ok_or_else(|| {
            let message = format!("{} is not there any more", Kind::Pod.named(namespace, name));
            Failure::new(FailureKind::NotFound, message)
        })?;
        let mut state = self.state.lock().await;
        state.container = handle.container;
        state.fetched = handle.fetched;
        state.fences = handle.fences;
        state.hearing = Some(Hearing::again(cx, &cluster, pod, (handle.tied, done)));
        Ok(handle.namespace)
    }
}

fn odd(error: &serde_json::Error) -> Failure {
    let message = format!("what is written down of the copy makes no sense: {error}");
    Failure::new(FailureKind::Invalid, message)
}
