//! A container's output, from its first line to its end.
//!
//! The stream may break: a proxy's time limit, a restarted API server, a lost
//! network. It is then taken up at the last line's time. Lines of that very
//! instant come twice, and after a rotation of the log some may be missing:
//! so whoever writes the lines numbers them.

use std::{ops::ControlFlow, time::Duration};

use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt, api::LogParams};
use serde_json::Value;

use super::{Cluster, Kind, Object, failure, until_after};
use crate::domain::failure::{Failure, FailureKind};

/// How long to wait before a broken stream is taken up again.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the log of a container that has ended is tried.
const LAST_TRIES: u32 = 10;

/// One line, with the node's time at which it was written.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub at: Timestamp,
    pub text: &'a str,
}

/// Which container.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    /// Its pod, as it was made.
    pub pod: &'a Object,
    pub container: &'a str,
    /// Init containers that are not tried twice: if one fails, so does all.
    pub after: &'a [&'a str],
}

impl Container<'_> {
    fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }
}

/// How a container has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i64>,
    /// In the cluster's words, such as `OOMKilled`.
    pub reason: String,
    /// Another one has been started in its place.
    pub restarted: bool,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "ended with {code}")?,
            None => write!(f, "ended")?,
        }
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.reason)
    }
}

/// Hears every line of a container of a pod that was just made until it ends.
/// Gives how. A container that is started anew has ended. `hear` breaks at a
/// line that the first container has not written.
///
/// # Errors
/// `NotFound` if the pod goes away, `Timeout` if the container does not start
/// within `patience`, `Invalid` if one that it comes after fails, and if the
/// API server forbids reading.
pub async fn follow(
    cluster: &Cluster,
    which: Container<'_>,
    patience: Duration,
    mut hear: impl FnMut(Line<'_>) -> ControlFlow<()>,
) -> Result<Ended, Failure> {
    // Known before the stream is read: what ended before it was opened has
    // written all its lines.
    let mut ended = started(cluster, which, patience).await?;
    let mut last = None;
    let mut broken = 0;
    loop {
        let restarted = ended.as_ref().is_some_and(|ended| ended.restarted);
        match (
            read(cluster, which, restarted, &mut last, &mut hear).await,
            ended,
        ) {
            (Err(kube::Error::Api(status)), _) if status.is_forbidden() => {
                let error = kube::Error::Api(status);
                return Err(failure("read the log of a pod", &error));
            }
            // Where the last lines break off, they are read once more. Those
            // of a container that was restarted may not be there any more.
            (Err(_), Some(ended)) if broken < LAST_TRIES && !ended.restarted => broken += 1,
            (_, Some(ended)) => return Ok(ended),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
        // A pod that is gone is seen here; a log that is not found may be a
        // kubelet's that is being restarted.
        ended = look(cluster, which).await?;
    }
}

/// Reads on to the end; of the container that was there before, if it was
/// restarted.
async fn read(
    cluster: &Cluster,
    which: Container<'_>,
    restarted: bool,
    last: &mut Option<Timestamp>,
    hear: &mut impl FnMut(Line<'_>) -> ControlFlow<()>,
) -> Result<(), kube::Error> {
    use k8s_openapi::api::core::v1::Pod;
    let api: Api<Pod> = Api::namespaced(cluster.client().clone(), &which.namespace());
    let params = LogParams {
        container: Some(which.container.to_owned()),
        follow: !restarted,
        previous: restarted,
        timestamps: true,
        since_time: last.and_then(whole_second),
        ..LogParams::default()
    };
    let mut lines = api
        .log_stream(&which.pod.name_any(), &params)
        .await?
        .lines();
    while let Some(line) = lines.try_next().await.map_err(kube::Error::ReadEvents)? {
        let Some((stamp, text)) = line.split_once(' ') else {
            continue;
        };
        if let Ok(at) = stamp.parse() {
            if hear(Line { at, text }).is_break() {
                break;
            }
            *last = Some(at);
        }
    }
    Ok(())
}

/// The second that an instant lies in. The client sends whole seconds and
/// rounds to the nearest: up to half a second of lines would be lost.
fn whole_second(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(at.as_second()).ok()
}

/// Waits until it has started. Gives how it has ended, if it has.
async fn started(
    cluster: &Cluster,
    which: Container<'_>,
    patience: Duration,
) -> Result<Option<Ended>, Failure> {
    until_after(cluster, (Kind::Pod, which.pod), patience, |object| {
        let object = object.ok_or_else(|| gone(which))?;
        for name in which.after {
            status(object, name).map_or(Ok(()), |status| succeeds(which, status))?;
        }
        let status = status(object, which.container);
        let begun = |status: &Value| {
            let state = &status["state"];
            state.get("running").or(state.get("terminated")).is_some() || end_of(status).is_some()
        };
        Ok(status.filter(|status| begun(status)).map(end_of))
    })
    .await
}

/// How a container has ended, if it has.
async fn look(cluster: &Cluster, which: Container<'_>) -> Result<Option<Ended>, Failure> {
    let (namespace, name) = (which.namespace(), which.pod.name_any());
    let pod = cluster.get(Kind::Pod, Some(&namespace), &name).await?;
    let pod = pod.ok_or_else(|| gone(which))?;
    Ok(status(&pod, which.container).and_then(end_of))
}

/// An init container that fails is tried again and again, in vain.
fn succeeds(which: Container<'_>, status: &Value) -> Result<(), Failure> {
    let Some(ended) = end_of(status).filter(|ended| ended.code != Some(0)) else {
        return Ok(());
    };
    let name = status["name"].as_str().unwrap_or_default();
    let message = format!("container {name} of pod {} {ended}", which.pod.name_any());
    let ends = ["/lastState/terminated/message", "/state/terminated/message"];
    let mut said = ends.iter().filter_map(|end| status.pointer(end)?.as_str());
    let message = match said.next() {
        Some(said) => format!("{message}: {}", said.trim()),
        None => message,
    };
    Err(Failure::new(FailureKind::Invalid, message))
}

fn end_of(status: &Value) -> Option<Ended> {
    let before = status.pointer("/lastState/terminated");
    let restarted = before.is_some() || status["restartCount"].as_u64().unwrap_or(0) > 0;
    let now = status.pointer("/state/terminated");
    if !restarted && now.is_none() {
        return None;
    }
    let end = before.or(now).unwrap_or(&Value::Null);
    Some(Ended {
        code: end["exitCode"].as_i64(),
        reason: end["reason"].as_str().unwrap_or_default().to_owned(),
        restarted,
    })
}

/// The status of one container of a pod, init containers included.
fn status<'a>(pod: &'a Object, container: &str) -> Option<&'a Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .filter_map(|list| pod.data.pointer(list)?.as_array())
        .flatten()
        .find(|status| status["name"] == container)
}

fn gone(which: Container<'_>) -> Failure {
    let what = Kind::Pod.named(Some(&which.namespace()), &which.pod.name_any());
    Failure::new(FailureKind::NotFound, format!("{what} went away"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_is_taken_up_at_or_before_its_last_line() {
        let at: Timestamp = "2026-01-01T00:00:00.9Z".parse().unwrap();
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(whole_second(at), Some(begin));
    }

    #[test]
    fn a_container_that_was_started_anew_has_ended() {
        let dead = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let alive = json!({ "running": {} });
        let fresh = json!({ "restartCount": 0, "state": alive, "lastState": {} });
        assert_eq!(end_of(&fresh), None);
        let ended = end_of(&json!({ "restartCount": 0, "state": dead })).unwrap();
        assert!(!ended.restarted);
        for state in [
            &alive,
            &json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
        ] {
            let status = json!({ "restartCount": 1, "state": state, "lastState": dead });
            let ended = end_of(&status).unwrap();
            assert!(ended.restarted);
            assert_eq!(ended.to_string(), "ended with 137 (OOMKilled)");
        }
        let forgotten = end_of(&json!({ "restartCount": 2, "state": alive })).unwrap();
        assert_eq!(forgotten.to_string(), "ended");
    }
}
