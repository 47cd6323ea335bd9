//! Reading snapshots, and the contents that stand behind them.

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::VolumeCut,
    },
    k8s::{Cluster, Kind, Object},
};

/// Describes a snapshot that is ready, and gives its content. Times and handle are read from the
/// content that the driver filled in: an import elsewhere may tell the time of
/// the import.
///
/// # Errors
/// `Conflict` if snapshot and content do not name each other.
pub(super) async fn cut_of(
    cluster: &Cluster,
    volume: &str,
    snapshot: &Object,
) -> Result<(VolumeCut, Object), Failure> {
    let namespace = snapshot.namespace().unwrap_or_default();
    let what = Kind::VolumeSnapshot.named(Some(&namespace), &snapshot.name_any());
    let status = &snapshot.data["status"];
    let name = status["boundVolumeSnapshotContentName"]
        .as_str()
        .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{what} has no content yet")))?;
    let content = cluster
        .need(Kind::VolumeSnapshotContent, None, name)
        .await?;
    let reference = &content.data["spec"]["volumeSnapshotRef"];
    if reference["uid"].as_str() != snapshot.uid().as_deref() {
        let message = format!("{what} and its content {name} do not name each other");
        return Err(Failure::new(FailureKind::Conflict, message)
            .hint("somebody may have put another's snapshot there: do not use it"));
    }
    let named = format!("{namespace}/{}", snapshot.name_any());
    Ok((from_content(volume, named, &content)?, content))
}

/// Describes a content by itself: what retained the data of a snapshot that
/// is gone.
///
/// # Errors
/// `NotFound` if the driver has not filled it in.
pub(super) fn from_content(
    volume: &str,
    snapshot: String,
    content: &Object,
) -> Result<VolumeCut, Failure> {
    let what = Kind::VolumeSnapshotContent.named(None, &content.name_any());
    let status = &content.data["status"];
    let handle = status["snapshotHandle"]
        .as_str()
        .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{what} has no handle yet")))?;
    let nanoseconds = status["creationTime"].as_i64();
    Ok(VolumeCut {
        volume: volume.to_owned(),
        snapshot,
        content: content.name_any(),
        driver: content.data["spec"]["driver"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        handle: handle.to_owned(),
        least_bytes: status["restoreSize"].as_u64().unwrap_or(0),
        cut_at: nanoseconds.and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok()),
    })
}

/// When it was cut, in whole seconds; `None` before.
pub(super) fn created(snapshot: &Object) -> Option<Timestamp> {
    let text = snapshot.data.pointer("/status/creationTime")?.as_str()?;
    text.parse().ok()
}

/// Whether it can be restored from.
pub(super) fn is_ready(snapshot: &Object) -> bool {
    snapshot.data.pointer("/status/readyToUse") == Some(&Value::Bool(true))
}
