//! Taking up a copy that another process has brought up.
//!
//! From its first word on the agent needs nobody: it loads, shows that the copy
//! serves and checks it, and says what comes of it on its pod's output, from
//! where it can be read again from the first line on.

use std::path::PathBuf;

use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::{RemoteEngine, hearing::Hearing, tie::Tied};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::{Fence, Phase},
        step::Step,
    },
    engine::{Context, Instance},
    k8s::{self, Kind},
};

/// By what another process finds a copy, and what it has to know of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handle {
    namespace: String,
    pod: String,
    uid: String,
    /// None where the copy's agent said nothing yet, or nobody keeps the time.
    tied: Option<Tied>,
    /// How long it took to fetch the dump from its bucket.
    fetched: Option<Phase>,
    /// What our own pods found of the fence before.
    fences: Vec<Fence>,
}

impl RemoteEngine {
    /// The copy whose agent is listened to.
    pub(super) async fn instance(&self, cx: &Context) -> Result<Instance, Failure> {
        let state = self.state.lock().await;
        let hearing = state.hearing.as_ref();
        let hearing = hearing
            .ok_or_else(|| Failure::new(FailureKind::Internal, "nobody listens to the copy"))?;
        let handle = Handle {
            namespace: hearing.pod.namespace().unwrap_or_default(),
            pod: hearing.pod.name_any(),
            uid: hearing.pod.uid().unwrap_or_default(),
            tied: hearing.tied(cx),
            fetched: state.fetched.clone(),
            fences: state.fences.clone(),
        };
        Ok(Instance {
            dir: PathBuf::new(),
            endpoint: serde_json::to_value(handle).map_err(|error| odd(&error))?,
        })
    }

    /// Listens to the copy once more, from its agent's first word on.
    pub(super) async fn hear_again(
        &self,
        cx: &Context,
        copy: &Instance,
        done: Step,
    ) -> Result<(), Failure> {
        let handle = Handle::deserialize(&copy.endpoint).map_err(|error| odd(&error))?;
        let tied = handle.tied.ok_or_else(|| {
            let message = "how its agent's clock stands to the run's was not written down";
            Failure::new(FailureKind::Invalid, message)
        })?;
        let cluster = self.cluster().await?;
        let (namespace, name) = (Some(handle.namespace.as_str()), &handle.pod);
        let pod = cluster.get(Kind::Pod, namespace, name).await?;
        let same = pod.filter(|pod| {
            let is_it = pod.uid().as_ref() == Some(&handle.uid);
            is_it && k8s::run_of(pod) == Some(cx.run) && !k8s::is_going(pod)
        });
        let pod = same.ok_or_else(|| {
            let what = Kind::Pod.named(namespace, name);
            Failure::new(
                FailureKind::NotFound,
                format!("{what} is not there any more"),
            )
        })?;
        let mut state = self.state.lock().await;
        state.fetched = handle.fetched;
        state.fences = handle.fences;
        state.hearing = Some(Hearing::again(cx, &cluster, pod, (tied, done)));
        Ok(())
    }
}

fn odd(error: &serde_json::Error) -> Failure {
    let message = format!("what is written down of the copy makes no sense: {error}");
    Failure::new(FailureKind::Internal, message)
}
