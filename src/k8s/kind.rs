//! The kinds of objects that Lifeboat knows.

use kube::discovery::ApiResource;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
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

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const GROUP_SNAPSHOTS: &str = "groupsnapshot.storage.k8s.io";

impl Kind {
    /// Group, version, kind and the name in addresses.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Event => ("", "v1", "Event", "events"),
            Self::LimitRange => ("", "v1", "LimitRange", "limitranges"),
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::Node => ("", "v1", "Node", "nodes"),
            Self::PersistentVolume => ("", "v1", "PersistentVolume", "persistentvolumes"),
            Self::PersistentVolumeClaim => {
                ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
            }
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::ResourceQuota => ("", "v1", "ResourceQuota", "resourcequotas"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::StorageClass => ("storage.k8s.io", "v1", "StorageClass", "storageclasses"),
            Self::VolumeAttachment => (
                "storage.k8s.io",
                "v1",
                "VolumeAttachment",
                "volumeattachments",
            ),
            Self::VolumeGroupSnapshot => (
                GROUP_SNAPSHOTS,
                "v1",
                "VolumeGroupSnapshot",
                "volumegroupsnapshots",
            ),
            Self::VolumeGroupSnapshotClass => (
                GROUP_SNAPSHOTS,
                "v1",
                "VolumeGroupSnapshotClass",
                "volumegroupsnapshotclasses",
            ),
            Self::VolumeGroupSnapshotContent => (
                GROUP_SNAPSHOTS,
                "v1",
                "VolumeGroupSnapshotContent",
                "volumegroupsnapshotcontents",
            ),
            Self::VolumeSnapshot => (SNAPSHOTS, "v1", "VolumeSnapshot", "volumesnapshots"),
            Self::VolumeSnapshotClass => (
                SNAPSHOTS,
                "v1",
                "VolumeSnapshotClass",
                "volumesnapshotclasses",
            ),
            Self::VolumeSnapshotContent => (
                SNAPSHOTS,
                "v1",
                "VolumeSnapshotContent",
                "volumesnapshotcontents",
            ),
        }
    }

    /// How the API server calls it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// Such as `apps/v1`.
    #[must_use]
    pub fn api_version(self) -> String {
        match self.parts() {
            ("", version, ..) => version.to_owned(),
            (group, version, ..) => format!("{group}/{version}"),
        }
    }

    /// Such as `networking.k8s.io`; empty for the core.
    #[must_use]
    pub fn group(self) -> &'static str {
        self.parts().0
    }

    /// Such as `StatefulSet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.parts().2
    }

    /// Such as `statefulsets`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.parts().3
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
    pub const ALL: [Self; 22] = [
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
