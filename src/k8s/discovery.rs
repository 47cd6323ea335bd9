//! Which groups and versions the API server serves: asked, never assumed.
//!
//! Asked once per connection, and again only for what was not there: it may
//! have been installed since.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::APIGroup, version::Info};
use kube::discovery::ApiResource;
use tokio::sync::Mutex;

use super::{Cluster, Kind, failure};
use crate::domain::failure::{Failure, FailureKind};

/// Versions by group.
pub type Groups = BTreeMap<String, Vec<String>>;

/// What the API server told.
#[derive(Debug, Clone, Default)]
pub(super) struct Served(Arc<Mutex<Option<Arc<Groups>>>>);

impl Cluster {
    /// How this API server calls a kind.
    ///
    /// # Errors
    /// `NotFound` if it does not know the kind in any version that is
    /// understood.
    pub async fn resource(&self, kind: Kind) -> Result<ApiResource, Failure> {
        if !kind.is_optional() {
            return Ok(kind.resource(kind.versions()[0]));
        }
        let known = self.served.0.lock().await.clone();
        if let Some(version) = known.and_then(|groups| best(&groups, kind)) {
            return Ok(kind.resource(version));
        }
        let groups = self.groups().await?;
        best(&groups, kind)
            .map(|version| kind.resource(version))
            .ok_or_else(|| unknown(&groups, kind))
    }

    /// Whether this API server knows a kind.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn knows(&self, kind: Kind) -> Result<bool, Failure> {
        match self.resource(kind).await {
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// The version of the API server.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn version(&self) -> Result<Info, Failure> {
        let told = self.client().apiserver_version().await;
        told.map_err(|error| failure("ask for the version", &error))
    }

    /// Asks for all groups, each with the versions that are served.
    ///
    /// # Errors
    /// If the API server cannot be asked.
    pub async fn groups(&self) -> Result<Arc<Groups>, Failure> {
        let told = self.client().list_api_groups().await;
        let told = told.map_err(|error| failure("ask which kinds are known", &error))?;
        let groups = Arc::new(told.groups.into_iter().map(versions).collect());
        *self.served.0.lock().await = Some(Arc::clone(&groups));
        Ok(groups)
    }
}

fn versions(group: APIGroup) -> (String, Vec<String>) {
    let versions = group.versions.into_iter().map(|version| version.version);
    (group.name, versions.collect())
}

/// The best version of a kind among those that are served.
#[must_use]
pub fn best(groups: &Groups, kind: Kind) -> Option<&'static str> {
    let served = groups.get(kind.group())?;
    let mut wanted = kind.versions().iter().copied();
    wanted.find(|version| served.iter().any(|one| one == version))
}

fn unknown(groups: &Groups, kind: Kind) -> Failure {
    let (name, group) = (kind.name(), kind.group());
    let message = match groups.get(group) {
        None => format!("the cluster does not know the kind {name}"),
        Some(served) => format!(
            "the cluster serves {group} in {} only, not in {}",
            served.join(", "),
            kind.versions().join(", ")
        ),
    };
    Failure::new(FailureKind::NotFound, message).hint(
        "install the snapshot controller with its definitions, and a CSI driver that snapshots",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(versions: &[&str]) -> Groups {
        let group = Kind::VolumeGroupSnapshot.group().to_owned();
        let versions = versions.iter().map(|&version| version.to_owned());
        BTreeMap::from([(group, versions.collect())])
    }

    #[test]
    fn the_best_version_is_taken_whatever_the_order() {
        let kind = Kind::VolumeGroupSnapshot;
        for (versions, expected) in [
            (&["v1beta2", "v1"][..], Some("v1")),
            (&["v1alpha1", "v1beta1", "v1beta2"], Some("v1beta2")),
            (&["v1beta1"], Some("v1beta1")),
            (&["v1alpha1", "v2"], None),
        ] {
            assert_eq!(best(&served(versions), kind), expected, "{versions:?}");
        }
        assert_eq!(best(&served(&["v1"]), Kind::VolumeSnapshot), None);
    }

    #[test]
    fn what_is_not_known_is_told_apart_from_what_is_too_old() {
        let old = unknown(&served(&["v1alpha1"]), Kind::VolumeGroupSnapshotClass);
        assert_eq!(
            old.message,
            "the cluster serves groupsnapshot.storage.k8s.io in v1alpha1 only, not in v1, \
             v1beta2, v1beta1"
        );
        let none = unknown(&Groups::new(), Kind::VolumeSnapshot);
        assert_eq!(
            none.message,
            "the cluster does not know the kind VolumeSnapshot"
        );
        assert_eq!(none.kind, FailureKind::NotFound);
    }
}
