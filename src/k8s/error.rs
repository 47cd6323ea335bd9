//! What an answer of the API server means, and what to do about it.

use kube::Error;

use super::Kind;
use crate::domain::failure::{Failure, FailureKind, chain};

/// Turns a client's error into a failure that says what was being done.
#[must_use]
pub fn failure(doing: &str, error: &Error) -> Failure {
    let Error::Api(status) = error else {
        return Failure::new(
            FailureKind::Unavailable,
            format!(
                "cannot {doing}: the API server cannot be reached: {}",
                chain(error)
            ),
        )
        .hint("check the kubeconfig, the context and the network");
    };
    let message = format!("cannot {doing}: {}", status.message);
    match (status.code, status.reason.as_str()) {
        (401, _) => Failure::new(FailureKind::Denied, message)
            .hint("the credentials are not valid any more"),
        (403, _) if exceeded(&status.message) => Failure::new(FailureKind::Exhausted, message)
            .hint("raise the quota, or ask for less in the drill"),
        (403, _) => Failure::new(FailureKind::Denied, message).hint(
            "give Lifeboat the rights that docs/kubernetes.md lists; `lifeboat check` tests them",
        ),
        (404, _) => Failure::new(FailureKind::NotFound, message),
        (409, _) => Failure::new(FailureKind::Conflict, message),
        (400 | 422, _) => Failure::new(FailureKind::Invalid, message),
        (408 | 429 | 500..=599, _) => Failure::new(FailureKind::Unavailable, message),
        _ => Failure::new(FailureKind::Internal, message),
    }
}

/// A quota answers with "forbidden", too.
pub(super) fn exceeded(message: &str) -> bool {
    message.contains("exceeded quota") || message.contains("failed quota")
}

/// That an object is not there which has to be.
#[must_use]
pub fn missing(kind: Kind, namespace: Option<&str>, name: &str) -> Failure {
    let what = kind.named(namespace, name);
    Failure::new(FailureKind::NotFound, format!("there is no {what}"))
}
