//! What everything that Lifeboat makes in a cluster wears.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::Object;
use crate::domain::ids::RunId;

/// The run that made an object, and alone may remove it.
pub const RUN: &str = "lifeboat.dev/run";

/// The drill of that run.
pub const DRILL: &str = "lifeboat.dev/drill";

/// The usual label for who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Its value.
pub const MANAGER: &str = "lifeboat";

/// An annotation: the time after which a sandbox is nobody's any more.
pub const EXPIRES_AT: &str = "lifeboat.dev/expires-at";

/// The labels of everything a run makes.
#[must_use]
pub fn labels(run: RunId, drill: &str) -> BTreeMap<String, String> {
    [
        (RUN, run.to_string()),
        (DRILL, drill.to_owned()),
        (MANAGED_BY, MANAGER.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The run whose label an object wears.
#[must_use]
pub fn run_of(object: &Object) -> Option<RunId> {
    object.labels().get(RUN)?.parse().ok()
}
