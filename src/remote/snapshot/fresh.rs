//! Cutting snapshots of the workload's volumes.
//!
//! Several volumes have to be cut at one instant. A VolumeGroupSnapshot does
//! that. Without it, the engine is held in backup mode: the data's volume is
//! cut while it is, the log's volume after it was let go. The log then holds
//! everything from the begin of backup mode to its end, and with the label
//! that the engine gave, the copy starts there and not where the data's volume
//! happens to say. Anything else is a torn copy, which the drill has to accept
//! by name.

use std::time::Duration;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{
    super::{RemoteEngine, hearing::Hearing, objects::AT_SOURCE, out_of_step},
    existing::recovery_point,
    read::{created, cut_of, is_ready},
};
use crate::{
    agent::protocol::{Done, Hold, Work},
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Ownership, RecoveryPoint, VolumeCut},
    },
    engine::{Context, Held, LetGo},
    k8s::{self, Kind, Maker, Object},
    spec::drill::FreshSnapshot,
};

/// The pod that holds the source.
const HOLDER: &str = "lifeboat-hold";

/// How long the holder gets to let go, in seconds.
const LETTING_GO: u32 = 60;

/// How long a driver may take to make a snapshot usable, such as to upload it.
const READY: Duration = Duration::from_hours(12);

/// The names in the recovery point's details.
pub const BACKUP_LABEL: &str = "backup_label";
pub const TABLESPACE_MAP: &str = "tablespace_map";

/// How the volumes are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    /// One volume, or several one after the other.
    Single,
    /// All at one instant, by a class of this name.
    Group(String),
    /// The last one, the log's, after the engine was let go.
    LogLast,
}

impl RemoteEngine {
    pub(in crate::remote) async fn cut_snapshots(
        &self,
        cx: &Context,
        wanted: &FreshSnapshot,
        namespace: &str,
    ) -> Result<RecoveryPoint, Failure> {
        let maker = self.maker(cx).await?;
        let scene = self.scene().await?;
        let claims = scene.claims(self.workload.replica);
        let manner = self.manner(wanted, &claims).await?;
        self.class(wanted).await?;
        let holder = self.hold(cx, &maker, wanted, namespace).await?;
        let (first, last) = match manner {
            Manner::LogLast => claims.split_at(1),
            _ => claims.split_at(claims.len()),
        };
        let cut = match &manner {
            Manner::Group(class) => self.cut_group(&maker, wanted, class, &claims).await,
            _ => self.cut_each(&maker, wanted, first).await,
        };
        // Whatever came of it, the engine is not held any longer.
        let gone = self.let_go(&maker, holder).await;
        let mut snapshots = cut?;
        let (held, gone) = gone?;
        snapshots.extend(self.cut_each(&maker, wanted, last).await?);
        let cuts = self.ready(&snapshots).await?;
        let mut point = recovery_point(cuts, Ownership::Ours);
        point.cut.newest_commit = held.newest_commit;
        point.cut.position = gone.position.or(held.position);
        point.canary = gone.canary;
        if manner == Manner::LogLast {
            let files = [
                (BACKUP_LABEL, gone.label),
                (TABLESPACE_MAP, gone.tablespaces),
            ];
            let files = files
                .into_iter()
                .filter_map(|(name, text)| Some((name, text?)));
            let files = files.filter(|(_, text)| !text.is_empty());
            point
                .details
                .extend(files.map(|(name, text)| (name.to_owned(), text)));
        }
        self.state.lock().await.source = held.source;
        Ok(point)
    }

    pub(super) async fn manner(
        &self,
        wanted: &FreshSnapshot,
        claims: &[(String, String)],
    ) -> Result<Manner, Failure> {
        let volumes = claims.len();
        if volumes < 2 {
            return Ok(Manner::Single);
        }
        if let Some(class) = self.group_class(wanted, claims).await? {
            return Ok(Manner::Group(class));
        }
        if wanted.hold && self.workload.wal_volume.is_some() {
            return Ok(Manner::LogLast);
        }
        if wanted.accept_torn_volumes {
            return Ok(Manner::Single);
        }
        let message = format!(
            "the workload has {volumes} volumes, and the cluster cannot cut them at one instant"
        );
        Err(Failure::new(FailureKind::Invalid, message).hint(
            "make a default VolumeGroupSnapshotClass for the driver, or name one; or hold the engine meanwhile with \
             recoveryPoint.snapshot.consistency: application and name the log's walVolume; or set \
             acceptTornVolumes",
        ))
    }

    /// Starts the holder, if anything is to be held, and waits until it holds.
    async fn hold(
        &self,
        cx: &Context,
        maker: &Maker,
        wanted: &FreshSnapshot,
        namespace: &str,
    ) -> Result<Option<(Hearing, Held)>, Failure> {
        if !wanted.hold && self.drill.canary.is_none() {
            return Ok(None);
        }
        self.open_way(maker, namespace).await?;
        let work = Work::Hold(Hold {
            quiesce: wanted.hold,
            limit: wanted.hold_limit,
            outside: self.outside_at_source(HOLDER, None),
        });
        let pod = (HOLDER, AT_SOURCE, [].as_slice());
        let mut hearing = self.worker_pod(cx, maker, namespace, pod, work).await?;
        match self.diagnosed(namespace, hearing.next().await).await? {
            Done::Hold(held) => Ok(Some((hearing, *held))),
            other => Err(out_of_step(&other)),
        }
    }

    /// Ends the holder's pod, which lets go at that, and hears its last words.
    async fn let_go(
        &self,
        maker: &Maker,
        holder: Option<(Hearing, Held)>,
    ) -> Result<(Held, LetGo), Failure> {
        let Some((mut hearing, held)) = holder else {
            return Ok((Held::default(), LetGo::default()));
        };
        let pod = hearing.pod.clone();
        maker.cluster.end_pod(maker.run, pod, LETTING_GO).await?;
        match hearing.next().await? {
            Done::LetGo { gone, fence } => {
                self.state.lock().await.fences.push(fence);
                Ok((held, gone))
            }
            other => Err(out_of_step(&other)),
        }
    }

    async fn cut_each(
        &self,
        maker: &Maker,
        wanted: &FreshSnapshot,
        claims: &[(String, String)],
    ) -> Result<Vec<(String, Object)>, Failure> {
        let namespace = self.workload.namespace.as_str();
        let mut made = Vec::new();
        for (volume, claim) in claims {
            let name = format!("{}-{volume}", maker.run.resource_name());
            let mut body = json!({ "spec": { "source": { "persistentVolumeClaimName": claim } } });
            if let Some(class) = &wanted.class {
                body["spec"]["volumeSnapshotClassName"] = class.clone().into();
            }
            let snapshot = maker.make(Kind::VolumeSnapshot, Some(namespace), &name, body);
            made.push((volume.clone(), snapshot.await?));
        }
        for (_, snapshot) in &mut made {
            let kind = Kind::VolumeSnapshot;
            *snapshot = self.until_cut(kind, snapshot, wanted.hold_limit).await?;
        }
        Ok(made)
    }

    /// Cuts all claims at once; gives the group's members.
    async fn cut_group(
        &self,
        maker: &Maker,
        wanted: &FreshSnapshot,
        class: &str,
        claims: &[(String, String)],
    ) -> Result<Vec<(String, Object)>, Failure> {
        let namespace = self.workload.namespace.as_str();
        let name = maker.run.resource_name();
        let body = json!({ "spec": {
            "volumeGroupSnapshotClassName": class,
            "source": { "selector": { "matchLabels": self.common_labels(claims).await? } },
        }});
        let kind = Kind::VolumeGroupSnapshot;
        let group = maker.make(kind, Some(namespace), &name, body).await?;
        self.until_cut(kind, &group, wanted.hold_limit).await?;
        self.members(&name, claims).await
    }

    /// Labels that all claims wear: a group is chosen by them.
    async fn common_labels(&self, claims: &[(String, String)]) -> Result<Value, Failure> {
        let (cluster, namespace) = (&self.cluster().await?, self.workload.namespace.as_str());
        let mut common: Option<std::collections::BTreeMap<String, String>> = None;
        for (_, claim) in claims {
            let kind = Kind::PersistentVolumeClaim;
            let object = cluster.need(kind, Some(namespace), claim).await?;
            let labels = object.labels().clone();
            common = Some(match common {
                None => labels,
                Some(common) => common
                    .into_iter()
                    .filter(|(name, value)| labels.get(name) == Some(value))
                    .collect(),
            });
        }
        match common.filter(|labels| !labels.is_empty()) {
            Some(labels) => Ok(json!(labels)),
            None => Err(Failure::new(
                FailureKind::Invalid,
                "the claims wear no common label by which a group of them could be cut",
            )
            .hint("label them alike, as a StatefulSet does with those it makes")),
        }
    }

    /// The snapshots that the group consists of, by the volume of each.
    async fn members(
        &self,
        group: &str,
        claims: &[(String, String)],
    ) -> Result<Vec<(String, Object)>, Failure> {
        let (cluster, namespace) = (&self.cluster().await?, self.workload.namespace.as_str());
        let all = cluster
            .list(Kind::VolumeSnapshot, Some(namespace), "")
            .await?;
        let members: Vec<&Object> = all
            .iter()
            .filter(|one| k8s::is_member(one, group))
            .collect();
        let find = |(volume, claim): &(String, String)| {
            let of_claim = |one: &&&Object| {
                let source = one.data.pointer("/spec/source/persistentVolumeClaimName");
                source.is_some_and(|source| source == claim.as_str())
            };
            let found = members.iter().find(of_claim);
            found
                .map(|one| (volume.clone(), (**one).clone()))
                .ok_or_else(|| {
                    let message = format!("the group {group} has no snapshot of {claim}");
                    Failure::new(FailureKind::NotFound, message)
                })
        };
        claims.iter().map(find).collect()
    }

    /// Waits until the storage has cut; what comes after does not concern the
    /// engine.
    async fn until_cut(
        &self,
        kind: Kind,
        made: &Object,
        patience: Duration,
    ) -> Result<Object, Failure> {
        let mut trouble = None;
        let cluster = &self.cluster().await?;
        let waited = k8s::until_after(cluster, (kind, made), patience, |object| {
            trouble = object.and_then(|object| k8s::snapshot_error(&object.data));
            Ok(object.filter(|object| created(object).is_some()).cloned())
        });
        waited
            .await
            .map_err(|failure| failure.context("nothing was cut").diagnosis(trouble))
    }

    /// Waits until every snapshot can be restored from, and describes it.
    async fn ready(&self, snapshots: &[(String, Object)]) -> Result<Vec<VolumeCut>, Failure> {
        let cluster = &self.cluster().await?;
        let mut cuts = Vec::new();
        for (volume, cut) in snapshots {
            let which = (Kind::VolumeSnapshot, cut);
            let mut trouble = None;
            let waited = k8s::until_after(cluster, which, READY, |object| {
                trouble = object.and_then(|object| k8s::snapshot_error(&object.data));
                Ok(object.filter(|object| is_ready(object)).cloned())
            });
            let snapshot = waited.await.map_err(|failure| {
                failure
                    .context("the snapshot did not become usable")
                    .diagnosis(trouble)
            })?;
            let (cut, content) = cut_of(cluster, volume, &snapshot).await?;
            let contents = &mut self.state.lock().await.contents;
            contents.insert(cut.content.clone(), content);
            cuts.push(cut);
        }
        Ok(cuts)
    }
}
