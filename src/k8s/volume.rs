//! Volumes, told apart by what their drivers call them, and groups of snapshots
//! of them.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::{Cluster, Kind, Object};

/// Where a snapshot says what it is bound to.
pub(super) const CONTENT: &str = "/status/boundVolumeSnapshotContentName";

impl Cluster {
    /// The content that a snapshot is bound to; `None` where there is none, or
    /// it may not be looked at.
    pub(super) async fn content_of(&self, snapshot: &Object) -> Option<Object> {
        let name = snapshot.data.pointer(CONTENT)?.as_str()?;
        let kind = Kind::VolumeSnapshotContent;
        self.get(kind, None, name).await.ok().flatten()
    }
}

/// A volume's driver, and the driver's own name for it; `None` where it is of
/// none.
#[must_use]
pub fn handle(volume: &Object) -> Option<(String, String)> {
    let csi = volume.data.pointer("/spec/csi")?;
    let text = |field: &str| csi[field].as_str().map(str::to_owned);
    Some((text("driver")?, text("volumeHandle")?))
}

/// Whether a claim of the namespace has the volume.
#[must_use]
pub fn claimed_in(volume: &Object, namespace: &str) -> bool {
    let of = volume.data.pointer("/spec/claimRef/namespace");
    of.is_some_and(|of| of == namespace)
}

/// The volumes of a namespace that are in truth one that is not of it: the name
/// of each, with the name of the other.
#[must_use]
pub fn shared(all: &[Object], namespace: &str) -> BTreeMap<String, String> {
    let (ours, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|volume| claimed_in(volume, namespace));
    let others = others.into_iter();
    let elsewhere: BTreeMap<_, _> = others
        .filter_map(|volume| Some((handle(volume)?, volume.name_any())))
        .collect();
    let ours = ours.into_iter();
    ours.filter_map(|volume| {
        let other = elsewhere.get(&handle(volume)?)?;
        Some((volume.name_any(), other.clone()))
    })
    .collect()
}

/// Whether a VolumeSnapshot was cut as a part of the group.
#[must_use]
pub fn is_member(snapshot: &Object, group: &str) -> bool {
    let named = snapshot.data.pointer("/status/volumeGroupSnapshotName");
    let owned = || snapshot.owner_references().iter().any(|o| o.name == group);
    named.is_some_and(|name| name == group) || owned()
}
