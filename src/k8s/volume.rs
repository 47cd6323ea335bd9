//! Volumes, told apart by what their drivers call them, and groups of snapshots
//! of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::ResourceExt;

use super::{Cluster, Kind, Object, watches::News};
use crate::domain::failure::Failure;

/// How long the news of a volume may take that is there.
const NEWS: Duration = Duration::from_secs(10);

/// Where a snapshot says what it is bound to.
pub(super) const CONTENT: &str = "/status/boundVolumeSnapshotContentName";

impl Cluster {
    /// All volumes of the cluster, those that these claims have and all that are
    /// older for certain: a watch tells of volumes in the order in which they were
    /// made. Volumes that are not there are missing from what is given.
    ///
    /// # Errors
    /// As [`list`](Cluster::list).
    pub async fn volumes(&self, bound: &[Claimed]) -> Result<Vec<Arc<Object>>, Failure> {
        if let Ok(Some(known)) = tokio::time::timeout(NEWS, self.watched(bound)).await {
            return Ok(known);
        }
        // However the watch does, the volumes are looked at.
        let all = self.look(Kind::PersistentVolume, "").await?;
        Ok(all.iter().cloned().map(Arc::new).collect())
    }

    /// The same, by a watch; `None` where that cannot be.
    async fn watched(&self, bound: &[Claimed]) -> Option<Vec<Arc<Object>>> {
        let kind = Kind::PersistentVolume;
        let mut known = None;
        for claimed in bound {
            let mut listener = self.listen_for(kind, &claimed.volume).await.ok()?;
            loop {
                match listener.next().await {
                    News::State(Some(volume)) if claimed.has(&volume) => break,
                    News::State(_) => {}
                    News::Look | News::Ended(_) => return None,
                }
            }
            known = Some(listener);
        }
        Some(known?.all())
    }

    /// The content that a snapshot is bound to; `None` where there is none, or
    /// it may not be looked at.
    pub(super) async fn content_of(&self, snapshot: &Object) -> Option<Object> {
        let name = snapshot.data.pointer(CONTENT)?.as_str()?;
        let kind = Kind::VolumeSnapshotContent;
        self.get(kind, None, name).await.ok().flatten()
    }
}

/// A claim that has a volume.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim's UID.
    pub claim: Option<String>,
    /// The volume's name.
    pub volume: String,
}

impl Claimed {
    /// Whether a volume of that name is the claim's. A watch may still tell how it
    /// was before, when another claim had it.
    fn has(&self, volume: &Object) -> bool {
        let of = volume.data.pointer("/spec/claimRef/uid");
        is_bound(volume) && of.and_then(|uid| uid.as_str()) == self.claim.as_deref()
    }
}

/// Whether a claim, or a volume, has its other part.
#[must_use]
pub fn is_bound(object: &Object) -> bool {
    object
        .data
        .pointer("/status/phase")
        .is_some_and(|phase| phase == "Bound")
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
pub fn shared<'a>(
    all: impl IntoIterator<Item = &'a Object>,
    namespace: &str,
) -> BTreeMap<String, String> {
    let (ours, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|volume| claimed_in(volume, namespace));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_is_a_claims_once_the_claim_is_the_one_that_has_it() {
        let claimed = Claimed {
            claim: Some("new".to_owned()),
            volume: "v".to_owned(),
        };
        let has = |phase: &str, uid: &str| {
            let body = json!({
                "metadata": { "name": "v" }, "status": { "phase": phase },
                "spec": { "claimRef": { "uid": uid, "namespace": "n" } },
            });
            claimed.has(&serde_json::from_value(body).unwrap())
        };
        assert!(has("Bound", "new"));
        assert!(!has("Bound", "old"), "as it was before");
        assert!(!has("Available", "new"));
    }
}
