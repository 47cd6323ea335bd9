//! The kinds of objects that Lifeboat knows.

use kube::discovery::ApiResource;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ClusterRole,
    ConfigMap,
    Event,
    LimitRange,
    Namespace,
    NetworkPolicy,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ResourceQuota,
    RoleBinding,
    Secret,
    Service,
    ServiceAccount,
    StatefulSet,
    StorageClass,
    VolumeAttachment,
    VolumeGroupSnapshot,
    VolumeGroupSnapshotClass,
    VolumeGroupSnapshotContent,
    VolumeSnapshot,
    VolumeSnapshotClass,
    VolumeSnapshotContent,
}

/// What there is only where somebody has installed it.
const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const GROUP_SNAPSHOTS: &str = "groupsnapshot.storage.k8s.io";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Versions that are understood, best first. Of the groups that the API server
/// brings along, every server that is supported has the first.
const STABLE: &[&str] = &["v1"];
const OF_GROUP_SNAPSHOTS: &[&str] = &["v1", "v1beta2", "v1beta1"];

impl Kind {
    /// Group, kind and the name in addresses.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ClusterRole => (RBAC, "ClusterRole", "clusterroles"),
            Self::ConfigMap => ("", "ConfigMap", "configmaps"),
            Self::Event => ("", "Event", "events"),
            Self::LimitRange => ("", "LimitRange", "limitranges"),
            Self::Namespace => ("", "Namespace", "namespaces"),
            Self::NetworkPolicy => ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
            Self::Node => ("", "Node", "nodes"),
            Self::PersistentVolume => ("", "PersistentVolume", "persistentvolumes"),
            Self::PersistentVolumeClaim => ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Pod => ("", "Pod", "pods"),
            Self::ResourceQuota => ("", "ResourceQuota", "resourcequotas"),
            Self::RoleBinding => (RBAC, "RoleBinding", "rolebindings"),
            Self::Secret => ("", "Secret", "secrets"),
            Self::Service => ("", "Service", "services"),
            Self::ServiceAccount => ("", "ServiceAccount", "serviceaccounts"),
            Self::StatefulSet => ("apps", "StatefulSet", "statefulsets"),
            Self::StorageClass => ("storage.k8s.io", "StorageClass", "storageclasses"),
            Self::VolumeAttachment => ("storage.k8s.io", "VolumeAttachment", "volumeattachments"),
            Self::VolumeGroupSnapshot => (
                GROUP_SNAPSHOTS,
                "VolumeGroupSnapshot",
                "volumegroupsnapshots",
            ),
            Self::VolumeGroupSnapshotClass => (
                GROUP_SNAPSHOTS,
                "VolumeGroupSnapshotClass",
                "volumegroupsnapshotclasses",
            ),
            Self::VolumeGroupSnapshotContent => (
                GROUP_SNAPSHOTS,
                "VolumeGroupSnapshotContent",
                "volumegroupsnapshotcontents",
            ),
            Self::VolumeSnapshot => (SNAPSHOTS, "VolumeSnapshot", "volumesnapshots"),
            Self::VolumeSnapshotClass => {
                (SNAPSHOTS, "VolumeSnapshotClass", "volumesnapshotclasses")
            }
            Self::VolumeSnapshotContent => {
                (SNAPSHOTS, "VolumeSnapshotContent", "volumesnapshotcontents")
            }
        }
    }

    /// Versions of its group that are understood, best first.
    #[must_use]
    pub fn versions(self) -> &'static [&'static str] {
        if self.group() == GROUP_SNAPSHOTS {
            OF_GROUP_SNAPSHOTS
        } else {
            STABLE
        }
    }

    /// Whether the API server may not know it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        [SNAPSHOTS, GROUP_SNAPSHOTS].contains(&self.group())
    }

    /// How an API server that serves `version` calls it.
    #[must_use]
    pub fn resource(self, version: &str) -> ApiResource {
        let (group, kind, plural) = self.parts();
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// Such as `networking.k8s.io`; empty for the core.
    #[must_use]
    pub fn group(self) -> &'static str {
        self.parts().0
    }

    /// Whether its objects lie in no namespace.
    #[must_use]
    pub fn is_of_cluster(self) -> bool {
        matches!(
            self,
            Self::Namespace
                | Self::PersistentVolume
                | Self::VolumeSnapshotContent
                | Self::VolumeGroupSnapshotContent
        )
    }

    /// Such as `StatefulSet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.parts().1
    }

    /// Such as `statefulsets`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.parts().2
    }

    /// The kind of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// An object in messages: `StatefulSet shop/db`.
    #[must_use]
    pub fn named(self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) => format!("{} {namespace}/{name}", self.name()),
            None => format!("{} {name}", self.name()),
        }
    }

    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::ClusterRole,
        Self::ConfigMap,
        Self::Event,
        Self::LimitRange,
        Self::Namespace,
        Self::NetworkPolicy,
        Self::Node,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::Pod,
        Self::ResourceQuota,
        Self::RoleBinding,
        Self::Secret,
        Self::Service,
        Self::ServiceAccount,
        Self::StatefulSet,
        Self::StorageClass,
        Self::VolumeAttachment,
        Self::VolumeGroupSnapshot,
        Self::VolumeGroupSnapshotClass,
        Self::VolumeGroupSnapshotContent,
        Self::VolumeSnapshot,
        Self::VolumeSnapshotClass,
        Self::VolumeSnapshotContent,
    ];
}
