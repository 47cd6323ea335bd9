//! Classes of snapshots: the one that a cut uses, and whether it can be used.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::{
    super::{RemoteEngine, storage},
    fresh::Manner,
};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Cluster, Kind, Object},
    spec::drill::FreshSnapshot,
};

/// Classes of one kind.
struct Sort {
    kind: Kind,
    /// What marks a driver's default.
    default: &'static str,
    /// Where a drill names one.
    field: &'static str,
}

const SINGLE: Sort = Sort {
    kind: Kind::VolumeSnapshotClass,
    default: "snapshot.storage.kubernetes.io/is-default-class",
    field: "recoveryPoint.snapshot.class",
};

const GROUP: Sort = Sort {
    kind: Kind::VolumeGroupSnapshotClass,
    default: "groupsnapshot.storage.kubernetes.io/is-default-class",
    field: "recoveryPoint.snapshot.groupClass",
};

/// The drill's word for: no group, whatever there is.
const NO_GROUP: &str = "none";

/// What the cluster writes on a claim whose volume a driver makes.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

impl RemoteEngine {
    /// The class that cutting uses. What the run makes it has to be able to
    /// remove, down to the driver.
    pub(super) async fn class(&self, wanted: &FreshSnapshot) -> Result<Object, Failure> {
        let cluster = &self.cluster().await?;
        let count =
            |classes: &[Object]| Ok(classes.iter().filter(|c| SINGLE.is_default(c)).count());
        let defaults = cluster.classes(SINGLE.kind, count).await?;
        // Each driver may have a default of its own.
        let driver = match &wanted.class {
            None if defaults > 1 => self.driver(cluster).await?,
            _ => None,
        };
        let choose = |classes: &[Object]| {
            let class = SINGLE.choose(classes, wanted.class.as_deref(), driver.as_deref())?;
            SINGLE.deletes(class)?;
            Ok(class.clone())
        };
        cluster.classes(SINGLE.kind, choose).await
    }

    /// The class by which all claims are cut as a group; `None` where there is
    /// no such thing.
    ///
    /// # Errors
    /// If the class that the drill names, or the driver's default, cannot be
    /// used.
    pub(super) async fn group_class(
        &self,
        wanted: &FreshSnapshot,
        claims: &[(String, String)],
    ) -> Result<Option<String>, Failure> {
        let named = wanted.group_class.as_deref();
        if named == Some(NO_GROUP) {
            return Ok(None);
        }
        let cluster = &self.cluster().await?;
        // An error, so that none are looked for anew: there may be some by now.
        let there = |classes: &[Object]| match classes {
            [] => Err(Failure::new(FailureKind::NotFound, "there are no classes")),
            _ => Ok(()),
        };
        match cluster.classes(GROUP.kind, there).await {
            Err(failure) if failure.kind == FailureKind::NotFound => {
                return class_of_group(&[], named, &BTreeSet::new());
            }
            there => there?,
        }
        let drivers = self.drivers(cluster, claims).await?;
        let choose = |classes: &[Object]| class_of_group(classes, named, &drivers);
        cluster.classes(GROUP.kind, choose).await
    }

    /// Whether the workload's claims can be cut, and how.
    pub(in crate::remote) async fn try_cutting(
        &self,
        wanted: &FreshSnapshot,
    ) -> Result<String, Failure> {
        let cluster = &self.cluster().await?;
        let claims = self.scene().await?.claims(self.workload.replica);
        let manner = self.manner(wanted, &claims).await?;
        let class = self.class(wanted).await?;
        let driver = self.driver(cluster).await?;
        SINGLE.fits(&class, driver.as_deref())?;
        let how = match manner {
            Manner::Single => "one after the other".to_owned(),
            Manner::Group(class) => format!("as a group of {class}"),
            Manner::LogLast => "the log's after the engine was let go".to_owned(),
        };
        let name = class.name_any();
        Ok(match claims.len() {
            1 => name,
            several => format!("{name}, {several} volumes, {how}"),
        })
    }

    /// The driver of the data's volume, where the cluster has written it down.
    async fn driver(&self, cluster: &Cluster) -> Result<Option<String>, Failure> {
        let claims = self.scene().await?.claims(self.workload.replica);
        let data = claims.get(..1).unwrap_or_default();
        Ok(self.drivers(cluster, data).await?.pop_first())
    }

    /// The same of several volumes.
    async fn drivers(
        &self,
        cluster: &Cluster,
        claims: &[(String, String)],
    ) -> Result<BTreeSet<String>, Failure> {
        let (kind, namespace) = (Kind::PersistentVolumeClaim, &self.workload.namespace);
        let mut drivers = BTreeSet::new();
        for (_, claim) in claims {
            let claim = cluster.need(kind, Some(namespace), claim).await?;
            drivers.extend(claim.annotations().get(PROVISIONER).cloned());
        }
        Ok(drivers)
    }
}

fn class_of_group(
    classes: &[Object],
    named: Option<&str>,
    drivers: &BTreeSet<String>,
) -> Result<Option<String>, Failure> {
    let driver = drivers.first().map(String::as_str);
    let class = match GROUP.choose(classes, named, driver) {
        Err(_) if named.is_none() => return Ok(None),
        class => class?,
    };
    if drivers.len() > 1 {
        if named.is_none() {
            return Ok(None);
        }
        let drivers: Vec<&str> = drivers.iter().map(String::as_str).collect();
        let message = format!(
            "the volumes are of several drivers, {}: no group can hold them",
            drivers.join(" and ")
        );
        return Err(Failure::new(FailureKind::Invalid, message)
            .hint(format!("set {} to {NO_GROUP}", GROUP.field)));
    }
    GROUP.fits(class, driver)?;
    GROUP.deletes(class)?;
    Ok(Some(class.name_any()))
}

impl Sort {
    fn is_default(&self, class: &Object) -> bool {
        storage::is_marked(class, self.default)
    }

    /// The class of that name, or the driver's default.
    fn choose<'a>(
        &self,
        classes: &'a [Object],
        name: Option<&str>,
        driver: Option<&str>,
    ) -> Result<&'a Object, Failure> {
        let fits = |class: &&Object| match (name, driver) {
            (Some(name), _) => class.name_any() == name,
            (None, Some(driver)) => self.is_default(class) && class.data["driver"] == driver,
            (None, None) => self.is_default(class),
        };
        classes.iter().find(fits).ok_or_else(|| {
            let kind = self.kind.name();
            let message = match (name, driver) {
                (Some(name), _) => format!("there is no {kind} {name}"),
                (None, Some(driver)) => format!("{driver} has no default {kind}"),
                (None, None) => format!("there is no default {kind}"),
            };
            let failure = Failure::new(FailureKind::NotFound, message);
            let names: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
            if names.is_empty() {
                return failure
                    .hint("make one, with deletionPolicy Delete, for the volume's driver");
            }
            failure.hint(format!("set {} to one of {}", self.field, names.join(", ")))
        })
    }

    /// Whether a class is of the volume's driver.
    fn fits(&self, class: &Object, driver: Option<&str>) -> Result<(), Failure> {
        let Some(driver) = driver.filter(|driver| class.data["driver"] != *driver) else {
            return Ok(());
        };
        let message = format!(
            "{} {} is of {}, and the volume of {driver}",
            self.kind.name(),
            class.name_any(),
            class.data["driver"].as_str().unwrap_or("another driver")
        );
        Err(Failure::new(FailureKind::Invalid, message)
            .hint(format!("set {} to one of the volume's driver", self.field)))
    }

    /// Whether what is cut by a class goes when it is deleted.
    fn deletes(&self, class: &Object) -> Result<(), Failure> {
        if class.data["deletionPolicy"] == "Delete" {
            return Ok(());
        }
        let message = format!(
            "{} {} retains what is deleted: every drill would leave a snapshot",
            self.kind.name(),
            class.name_any()
        );
        Err(Failure::new(FailureKind::Invalid, message).hint(format!(
            "set {} to a class with deletionPolicy Delete",
            self.field
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(sort: &Sort, name: &str, driver: &str, default: bool) -> Object {
        let annotations = json!({ (sort.default): default.to_string() });
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": annotations },
            "driver": driver, "deletionPolicy": "Delete",
        }))
        .unwrap()
    }

    #[test]
    fn each_driver_has_its_own_default() {
        let class = |name, driver, default| class(&SINGLE, name, driver, default);
        let classes = [
            class("fast", "a", true),
            class("slow", "b", true),
            class("kept", "b", false),
        ];
        let chosen = |name, driver| {
            let class = SINGLE.choose(&classes, name, driver);
            class.map(ResourceExt::name_any)
        };
        assert_eq!(chosen(None, Some("b")).unwrap(), "slow");
        assert_eq!(chosen(Some("kept"), None).unwrap(), "kept");
        let failure = chosen(None, Some("c")).unwrap_err();
        assert_eq!(failure.message, "c has no default VolumeSnapshotClass");
        assert!(failure.hint.unwrap().ends_with("fast, slow, kept"));
        let failure = SINGLE.choose(&[], None, None).unwrap_err();
        assert_eq!(failure.message, "there is no default VolumeSnapshotClass");
    }

    fn of_group(
        classes: &[Object],
        named: Option<&str>,
        drivers: &[&str],
    ) -> Result<Option<String>, String> {
        let drivers = drivers.iter().map(|driver| (*driver).to_owned()).collect();
        class_of_group(classes, named, &drivers).map_err(|failure| failure.message)
    }

    #[test]
    fn a_group_is_cut_by_a_class_of_the_volumes_driver_alone() {
        let class = |name, driver, default| class(&GROUP, name, driver, default);
        let classes = [
            class("others", "a", true),
            class("ours", "b", true),
            class("second", "b", false),
        ];
        assert_eq!(of_group(&classes, None, &["b"]), Ok(Some("ours".into())));
        assert_eq!(of_group(&classes[..1], None, &["b"]), Ok(None));
        assert_eq!(of_group(&classes[2..], None, &["b"]), Ok(None));
        let second = Some("second");
        assert_eq!(
            of_group(&classes, second, &["b"]),
            Ok(second.map(Into::into))
        );
        let message = "VolumeGroupSnapshotClass others is of a, and the volume of b";
        assert_eq!(
            of_group(&classes, Some("others"), &["b"]),
            Err(message.into())
        );
        let message = "there is no VolumeGroupSnapshotClass x";
        assert_eq!(of_group(&classes, Some("x"), &["b"]), Err(message.into()));
        assert_eq!(of_group(&classes, None, &["a", "b"]), Ok(None));
        let message = "the volumes are of several drivers, a and b: no group can hold them";
        assert_eq!(of_group(&classes, second, &["a", "b"]), Err(message.into()));
    }

    #[test]
    fn a_class_that_retains_groups_is_refused() {
        let mut class = class(&GROUP, "kept", "b", true);
        class.data["deletionPolicy"] = "Retain".into();
        let message = "VolumeGroupSnapshotClass kept retains what is deleted: every drill would \
                       leave a snapshot";
        let classes = [class];
        for named in [None, Some("kept")] {
            assert_eq!(of_group(&classes, named, &["b"]), Err(message.into()));
        }
    }
}
