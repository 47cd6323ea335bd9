//! A container's output, from its first line to its end.
//!
//! The stream may break: a proxy's time limit, a restarted API server, a lost
//! network. It is then taken up at the last line's time. Lines of that very
//! instant come twice, and after a rotation of the log some may be missing:
//! so whoever writes the lines numbers them.

use std::time::Duration;

use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, api::LogParams};

use super::{Cluster, Kind, Object, failure, until};
use crate::domain::failure::{Failure, FailureKind};

/// How long to wait before a broken stream is taken up again.
const PAUSE: Duration = Duration::from_millis(200);

/// One line, with the node's time at which it was written.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub at: Timestamp,
    pub text: &'a str,
}

/// Which container.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub container: &'a str,
}

/// Hears every line of a container until it ends. Gives its exit code.
///
/// # Errors
/// `NotFound` if the pod goes away, `Timeout` if the container does not start
/// within `patience`, and if the API server forbids reading.
pub async fn follow(
    cluster: &Cluster,
    which: Container<'_>,
    patience: Duration,
    mut hear: impl FnMut(Line<'_>),
) -> Result<i64, Failure> {
    started(cluster, which, patience).await?;
    let mut last = None;
    loop {
        // Asked before the stream is read: what ended before it was opened
        // has written all its lines. A pod that is gone is seen here; a log
        // that is not found may be a kubelet's that is being restarted.
        let ended = ended(cluster, which).await?;
        if let Err(error) = read(cluster, which, &mut last, &mut hear).await
            && let kube::Error::Api(status) = &error
            && status.is_forbidden()
        {
            return Err(failure("read the log of a pod", &error));
        }
        if let Some(code) = ended {
            return Ok(code);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(
    cluster: &Cluster,
    which: Container<'_>,
    last: &mut Option<Timestamp>,
    hear: &mut impl FnMut(Line<'_>),
) -> Result<(), kube::Error> {
    use k8s_openapi::api::core::v1::Pod;
    let api: Api<Pod> = Api::namespaced(cluster.client().clone(), which.namespace);
    let params = LogParams {
        container: Some(which.container.to_owned()),
        follow: true,
        timestamps: true,
        since_time: *last,
        ..LogParams::default()
    };
    let mut lines = api.log_stream(which.pod, &params).await?.lines();
    while let Ok(Some(line)) = lines.try_next().await {
        let Some((stamp, text)) = line.split_once(' ') else {
            continue;
        };
        if let Ok(at) = stamp.parse() {
            *last = Some(at);
            hear(Line { at, text });
        }
    }
    Ok(())
}

async fn started(
    cluster: &Cluster,
    which: Container<'_>,
    patience: Duration,
) -> Result<(), Failure> {
    let pod = (Kind::Pod, Some(which.namespace), which.pod);
    until(cluster, pod, patience, |object| {
        let object = object.ok_or_else(|| gone(which))?;
        let state = state(object, which.container);
        let begun = state.is_some_and(|s| s.get("running").or(s.get("terminated")).is_some());
        Ok(begun.then_some(()))
    })
    .await
}

/// The exit code of a container that has ended.
async fn ended(cluster: &Cluster, which: Container<'_>) -> Result<Option<i64>, Failure> {
    let pod = cluster
        .get(Kind::Pod, Some(which.namespace), which.pod)
        .await?;
    let pod = pod.ok_or_else(|| gone(which))?;
    let state = state(&pod, which.container);
    let code = state.and_then(|state| state.pointer("/terminated/exitCode"));
    Ok(code.and_then(serde_json::Value::as_i64))
}

/// The state of one container of a pod, init containers included.
fn state<'a>(pod: &'a Object, container: &str) -> Option<&'a serde_json::Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .filter_map(|list| pod.data.pointer(list)?.as_array())
        .flatten()
        .find(|status| status["name"] == container)
        .and_then(|status| status.get("state"))
}

fn gone(which: Container<'_>) -> Failure {
    let what = Kind::Pod.named(Some(which.namespace), which.pod);
    Failure::new(FailureKind::NotFound, format!("{what} went away"))
}
