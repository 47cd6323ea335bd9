//! Classes of snapshots: the one that a cut uses, and whether it can be used.

use kube::ResourceExt;

use super::{super::RemoteEngine, fresh::Manner};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Cluster, Kind, Object},
    spec::drill::FreshSnapshot,
};

const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// What the cluster writes on a claim whose volume a driver makes.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

impl RemoteEngine {
    /// The class that cutting uses. What the run makes it has to be able to
    /// remove, down to the driver.
    pub(super) async fn class(&self, wanted: &FreshSnapshot) -> Result<Object, Failure> {
        let cluster = &self.cluster().await?;
        let classes = cluster.list(Kind::VolumeSnapshotClass, None, "").await?;
        let defaults = classes.iter().filter(|class| is_default(class)).count();
        // Each driver may have a default of its own.
        let driver = match &wanted.class {
            None if defaults > 1 => self.driver(cluster).await?,
            _ => None,
        };
        let class = choose(&classes, wanted.class.as_deref(), driver.as_deref())?;
        if class.data["deletionPolicy"] == "Delete" {
            return Ok(class.clone());
        }
        let message = format!(
            "VolumeSnapshotClass {} retains what is deleted: every drill would leave a snapshot",
            class.name_any()
        );
        Err(Failure::new(FailureKind::Invalid, message)
            .hint("name a class with deletionPolicy Delete for drills"))
    }

    /// Whether the workload's claims can be cut, and how.
    pub(in crate::remote) async fn try_cutting(
        &self,
        wanted: &FreshSnapshot,
    ) -> Result<String, Failure> {
        let cluster = &self.cluster().await?;
        let claims = self.scene().await?.claims(self.workload.replica);
        let manner = self.manner(wanted, claims.len()).await?;
        let class = self.class(wanted).await?;
        let driver = self.driver(cluster).await?;
        if let Some(driver) = driver.filter(|driver| class.data["driver"] != driver.as_str()) {
            let message = format!(
                "VolumeSnapshotClass {} is of {}, and the volume of {driver}",
                class.name_any(),
                class.data["driver"].as_str().unwrap_or("another driver")
            );
            return Err(Failure::new(FailureKind::Invalid, message)
                .hint("set recoveryPoint.snapshot.class to one of the volume's driver"));
        }
        let how = match manner {
            Manner::Single => "one after the other",
            Manner::Group => "as a group",
            Manner::LogLast => "the log's after the engine was let go",
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
        let Some((_, claim)) = claims.first() else {
            return Ok(None);
        };
        let namespace = Some(self.workload.namespace.as_str());
        let kind = Kind::PersistentVolumeClaim;
        let claim = cluster.need(kind, namespace, claim).await?;
        Ok(claim.annotations().get(PROVISIONER).cloned())
    }
}

fn is_default(class: &Object) -> bool {
    class
        .annotations()
        .get(DEFAULT)
        .is_some_and(|value| value == "true")
}

fn choose<'a>(
    classes: &'a [Object],
    name: Option<&str>,
    driver: Option<&str>,
) -> Result<&'a Object, Failure> {
    let fits = |class: &&Object| match (name, driver) {
        (Some(name), _) => class.name_any() == name,
        (None, Some(driver)) => is_default(class) && class.data["driver"] == driver,
        (None, None) => is_default(class),
    };
    classes.iter().find(fits).ok_or_else(|| {
        let message = match (name, driver) {
            (Some(name), _) => format!("there is no VolumeSnapshotClass {name}"),
            (None, Some(driver)) => format!("{driver} has no default VolumeSnapshotClass"),
            (None, None) => "there is no default VolumeSnapshotClass".to_owned(),
        };
        let failure = Failure::new(FailureKind::NotFound, message);
        let names: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
        if names.is_empty() {
            return failure.hint("make one, with deletionPolicy Delete, for the volume's driver");
        }
        let names = names.join(", ");
        failure.hint(format!(
            "set recoveryPoint.snapshot.class to one of {names}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, driver: &str, default: bool) -> Object {
        let annotations = json!({ (DEFAULT): default.to_string() });
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": annotations }, "driver": driver,
        }))
        .unwrap()
    }

    #[test]
    fn each_driver_has_its_own_default() {
        let classes = [
            class("fast", "a", true),
            class("slow", "b", true),
            class("kept", "b", false),
        ];
        let chosen = |name, driver| choose(&classes, name, driver).map(ResourceExt::name_any);
        assert_eq!(chosen(None, Some("b")).unwrap(), "slow");
        assert_eq!(chosen(Some("kept"), None).unwrap(), "kept");
        let failure = chosen(None, Some("c")).unwrap_err();
        assert_eq!(failure.message, "c has no default VolumeSnapshotClass");
        assert!(failure.hint.unwrap().ends_with("fast, slow, kept"));
        let failure = choose(&[], None, None).unwrap_err();
        assert_eq!(failure.message, "there is no default VolumeSnapshotClass");
    }
}
