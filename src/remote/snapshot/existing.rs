//! Snapshots that are there already: found, and never altered.

use jiff::Timestamp;

use super::{
    super::RemoteEngine,
    read::{created, cut_of, from_content, is_ready},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint, VolumeCut},
    },
    engine::Context,
    k8s::{self, Kind, Object},
    spec::drill::{ExistingSnapshot, Pick},
};

impl RemoteEngine {
    /// One snapshot per volume, of one instant or of instants that the drill
    /// accepts.
    pub(in crate::remote) async fn find_snapshots(
        &self,
        cx: &Context,
        wanted: &ExistingSnapshot,
    ) -> Result<RecoveryPoint, Failure> {
        let scene = self.scene().await?;
        let claims = scene.claims(self.workload.replica);
        if let Some(name) = &wanted.content {
            return self.retained(&claims, name).await;
        }
        let all = self.candidates(wanted).await?;
        let [(volume, claim)] = claims.as_slice() else {
            return self.find_several(&all, &claims, wanted).await;
        };
        // A snapshot that is named need not be of this very claim: the
        // workload may have been made anew since.
        let of_claim = all
            .iter()
            .filter(|one| wanted.name.is_some() || is_of(one, claim));
        let found = pick(of_claim.collect(), wanted, claim)?;
        let cluster = &self.cluster().await?;
        let (cut, _) = cut_of(cluster, volume, found).await?;
        cx.note(format!("restoring from VolumeSnapshot {}", cut.snapshot));
        Ok(recovery_point(vec![cut], Ownership::Borrowed))
    }

    /// A content that outlived its snapshot, and perhaps its namespace.
    async fn retained(
        &self,
        claims: &[(String, String)],
        name: &str,
    ) -> Result<RecoveryPoint, Failure> {
        let [(volume, _)] = claims else {
            let message = "a content is of one volume, and the workload has several";
            return Err(Failure::new(FailureKind::Invalid, message)
                .hint("name VolumeSnapshots by their labels"));
        };
        let content = self
            .cluster()
            .await?
            .need(Kind::VolumeSnapshotContent, None, name)
            .await?;
        let cut = from_content(volume, name.to_owned(), &content)?;
        Ok(recovery_point(vec![cut], Ownership::Borrowed))
    }

    /// When the newest snapshots were cut that could be restored: of several
    /// volumes, the oldest of them, as one is no backup without the others. None
    /// where a volume has none yet.
    ///
    /// # Errors
    /// If the workload or its snapshots cannot be seen.
    pub async fn newest_snapshot(
        &self,
        wanted: &ExistingSnapshot,
    ) -> Result<Option<Timestamp>, Failure> {
        let scene = self.scene().await?;
        let claims = scene.claims(self.workload.replica);
        let all = self.candidates(wanted).await?;
        let newest = claims.iter().map(|(_, claim)| {
            let of_claim = all.iter().filter(|one| is_ready(one) && is_of(one, claim));
            of_claim.filter_map(created).max()
        });
        let newest: Option<Vec<_>> = newest.collect();
        Ok(newest.and_then(|newest| newest.into_iter().min()))
    }

    async fn candidates(&self, wanted: &ExistingSnapshot) -> Result<Vec<Object>, Failure> {
        let cluster = &self.cluster().await?;
        let namespace = Some(self.workload.namespace.as_str());
        if let Some(name) = &wanted.name {
            return Ok(vec![
                cluster.need(Kind::VolumeSnapshot, namespace, name).await?,
            ]);
        }
        let labels = wanted
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let selector = labels.collect::<Vec<_>>().join(",");
        cluster
            .list(Kind::VolumeSnapshot, namespace, &selector)
            .await
    }

    /// Several volumes: the members of one group, or the newest of each.
    async fn find_several(
        &self,
        all: &[Object],
        claims: &[(String, String)],
        wanted: &ExistingSnapshot,
    ) -> Result<RecoveryPoint, Failure> {
        let mut cuts = Vec::new();
        let mut groups = Vec::new();
        for (volume, claim) in claims {
            let of_claim = all.iter().filter(|one| is_of(one, claim)).collect();
            let found = pick(of_claim, wanted, claim)?;
            groups.push(group_of(found));
            let (cut, _) = cut_of(&self.cluster().await?, volume, found).await?;
            cuts.push(cut);
        }
        let of_one_group = groups
            .iter()
            .all(|group| group.is_some() && *group == groups[0]);
        if !of_one_group && !wanted.accept_torn_volumes {
            let named: Vec<&str> = cuts.iter().map(|cut| cut.snapshot.as_str()).collect();
            let message = format!(
                "the snapshots {} are of no group: they were not cut at one instant",
                named.join(" and ")
            );
            return Err(Failure::new(FailureKind::Invalid, message).hint(
                "use a VolumeGroupSnapshot, or set \
                 recoveryPoint.existingSnapshot.acceptTornVolumes",
            ));
        }
        Ok(recovery_point(cuts, Ownership::Borrowed))
    }
}

fn is_of(snapshot: &Object, claim: &str) -> bool {
    let source = snapshot
        .data
        .pointer("/spec/source/persistentVolumeClaimName");
    source.is_some_and(|source| source == claim)
}

fn group_of(snapshot: &Object) -> Option<String> {
    let name = snapshot
        .data
        .pointer("/status/volumeGroupSnapshotName")?
        .as_str()?;
    Some(name.to_owned())
}

fn pick<'a>(
    mut found: Vec<&'a Object>,
    wanted: &ExistingSnapshot,
    claim: &str,
) -> Result<&'a Object, Failure> {
    let there = found.len();
    found.retain(|one| is_ready(one) && !k8s::is_going(one));
    found.sort_by_key(|one| created(one));
    let picked = match wanted.pick {
        Pick::Latest => found.last(),
        Pick::Random => fastrand::choice(&found),
    };
    picked.copied().ok_or_else(|| {
        let message = if there == 0 {
            format!("there is no VolumeSnapshot of {claim} as the drill names it")
        } else {
            format!("none of {there} VolumeSnapshots of {claim} is ready to use")
        };
        Failure::new(FailureKind::NotFound, message)
            .hint("see `kubectl get volumesnapshots` in the workload's namespace")
    })
}

/// Snapshots as a recovery point. Of several instants the earliest counts.
pub(super) fn recovery_point(cuts: Vec<VolumeCut>, ownership: Ownership) -> RecoveryPoint {
    let at = cuts.iter().filter_map(|cut| cut.cut_at).min();
    let basis = if at.is_some() {
        CutBasis::Storage
    } else {
        CutBasis::Unknown
    };
    let cut = Cut {
        at,
        basis,
        position: None,
        newest_commit: None,
    };
    RecoveryPoint {
        size_bytes: cuts.iter().map(|cut| cut.least_bytes).sum(),
        producer: cuts.first().map(|cut| cut.driver.clone()),
        ..RecoveryPoint::new(Artifact::Volumes { snapshots: cuts }, ownership, cut)
    }
}
