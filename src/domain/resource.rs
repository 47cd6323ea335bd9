//! The ledger: outside resources, written down before they are made.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::S3Place;

/// Something outside the process that a run made, and must give back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Resource {
    /// A directory that carries this run's ownership file. Processes that
    /// carry the run's label or work inside it go with it.
    Directory { path: PathBuf },
    /// A namespace that wears this run's label, with all that is in it, and
    /// what of the cluster itself wears the label and belongs to it.
    Namespace {
        #[serde(flatten)]
        cluster: ClusterRef,
        name: String,
        /// What the API server told it apart by, once it was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<String>,
    },
    /// Snapshots with this run's label, in the namespace of the workload.
    Snapshots {
        #[serde(flatten)]
        cluster: ClusterRef,
        namespace: String,
    },
    /// What this run keeps in a bucket below `<prefix>/<its name>/`, with the
    /// uploads that it has not finished. Holds no secret: what is read to ask
    /// there, and not what it says.
    Objects {
        #[serde(flatten)]
        place: Box<S3Place>,
        prefix: String,
        /// Where the Secrets with the credentials are, if they are there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<FromCluster>,
    },
}

/// Who knows how to ask at a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FromCluster {
    #[serde(flatten)]
    pub cluster: ClusterRef,
    /// The workload's namespace, whose Secrets hold the credentials.
    pub namespace: String,
}

/// Which cluster: by a kubeconfig file and a context in it, where they are not
/// the obvious ones.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct ClusterRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// A workload in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadRef {
    #[serde(flatten)]
    pub cluster: ClusterRef,
    pub namespace: String,
    pub stateful_set: String,
}

impl Resource {
    /// Whether it is on a machine, where others cannot look at it.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }

    /// A stable text that identifies the resource within its run.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Directory { path } => format!("directory:{}", path.display()),
            Self::Namespace { cluster, name, .. } => {
                format!("namespace:{}{name}", cluster.prefix())
            }
            Self::Snapshots { cluster, namespace } => {
                format!("snapshots:{}{namespace}", cluster.prefix())
            }
            Self::Objects { place, prefix, .. } => {
                format!("objects:{}", place.location(prefix))
            }
        }
    }
}

impl ClusterRef {
    fn prefix(&self) -> String {
        let file = self
            .kubeconfig
            .as_ref()
            .map(|path| path.display().to_string());
        let parts = [file, self.context.clone()];
        parts.into_iter().flatten().map(|part| part + "/").collect()
    }
}
