//! Looking at the workload: which of its parts is which.

use std::collections::BTreeMap;

use serde_json::Value;

use super::RemoteEngine;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::SourceFacts,
    },
    k8s::{Kind, Object},
    workload::{self, Workload},
};

/// A workload, understood.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub workload: Workload,
    /// The container that runs the engine.
    pub container: String,
    pub image: String,
    /// Volumes whose content a recovery point has to hold: the data's first,
    /// then that of the write-ahead log, if it has one.
    pub volumes: Vec<String>,
    /// Where the drill says that the data are; else their container knows.
    pub data_directory: Option<String>,
}

impl RemoteEngine {
    /// Gathers the workload's objects and finds the engine among them.
    pub(super) async fn look(&self) -> Result<Scene, Failure> {
        let wanted = &self.workload;
        let (namespace, name) = (&wanted.namespace, &wanted.stateful_set);
        let workload = if wanted.manifests.is_empty() {
            workload::from_cluster(&self.cluster().await?, namespace, name).await?
        } else {
            workload::from_manifests(&wanted.manifests, namespace, name)?
        };
        let container = self.container(&workload)?;
        let engine = workload.container(&container).cloned().unwrap_or_default();
        let image = engine["image"].as_str().unwrap_or_default().to_owned();
        let volumes = self.volumes(&workload)?;
        let data_directory = wanted.data_directory.clone();
        Ok(Scene {
            workload,
            container,
            image,
            volumes,
            data_directory,
        })
    }

    /// An object of the workload's namespace: as this run has gathered it, or
    /// as it stands.
    pub(super) async fn of_workload(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Object>, Failure> {
        let scene = self.scene().await?;
        let gathered = scene.workload.parts.iter();
        // What manifests say of an object is not what has become of it.
        let mut gathered = gathered.filter(|_| self.workload.manifests.is_empty());
        let found = gathered.find(|part| part.kind == kind && part.name == name);
        if let Some(object) = found.and_then(|part| serde_json::from_value(part.body.clone()).ok())
        {
            return Ok(Some(object));
        }
        let namespace = Some(self.workload.namespace.as_str());
        self.cluster().await?.get(kind, namespace, name).await
    }

    fn container(&self, workload: &Workload) -> Result<String, Failure> {
        let containers = workload::list(&workload.template()["spec"]["containers"]);
        let names: Vec<&str> = containers
            .iter()
            .filter_map(|c| c["name"].as_str())
            .collect();
        let engine = self.drill.workload.engine();
        let obvious = || match names.as_slice() {
            [only] => Some(*only),
            several => several.iter().find(|name| **name == engine).copied(),
        };
        let wanted = self.workload.container.as_deref();
        let found = wanted
            .filter(|name| names.contains(name))
            .or_else(|| obvious().filter(|_| wanted.is_none()));
        found.map(str::to_owned).ok_or_else(|| {
            let what = workload
                .stateful_set
                .kind
                .named(None, &workload.stateful_set.name);
            let message = match wanted {
                Some(name) => format!("{what} has no container {name}"),
                None => format!("{what} has several containers, and none is called {engine}"),
            };
            Failure::new(FailureKind::Invalid, message).hint(format!(
                "set workload.postgresql.kubernetes.container to one of {}",
                names.join(", ")
            ))
        })
    }

    fn volumes(&self, workload: &Workload) -> Result<Vec<String>, Failure> {
        let claimed = workload.claimed_volumes();
        let hint = format!("it has {}", claimed.join(", "));
        let named = |name: &String, what: &str| {
            if claimed.contains(name) {
                Ok(name.clone())
            } else {
                let message = format!("there is no {what} volume {name} with a claim");
                Err(Failure::new(FailureKind::Invalid, message).hint(hint.clone()))
            }
        };
        let wal = self.workload.wal_volume.as_ref();
        let wal = wal.map(|name| named(name, "log")).transpose()?;
        let data = match (&self.workload.data_volume, claimed.as_slice()) {
            (Some(name), _) => named(name, "data")?,
            (None, [only]) => only.clone(),
            (None, []) => {
                let message = "the workload has no volume with a claim";
                return Err(Failure::new(FailureKind::Invalid, message));
            }
            (None, several) => {
                let others: Vec<&String> = several
                    .iter()
                    .filter(|v| Some(*v) != wal.as_ref())
                    .collect();
                let [only] = others.as_slice() else {
                    let message = "the workload has several volumes, and the drill does not say \
                                   which holds the data";
                    return Err(Failure::new(FailureKind::Invalid, message).hint(format!(
                        "set workload.postgresql.kubernetes.dataVolume; {hint}"
                    )));
                };
                (*only).clone()
            }
        };
        Ok([data].into_iter().chain(wal).collect())
    }
}

impl Scene {
    /// What can be told of the source without asking the engine.
    pub(super) fn facts(&self, cluster: &str) -> SourceFacts {
        let set = &self.workload.stateful_set;
        let mut details = BTreeMap::from([
            ("cluster".to_owned(), cluster.to_owned()),
            ("container".to_owned(), self.container.clone()),
            ("image".to_owned(), self.image.clone()),
            ("volumes".to_owned(), self.volumes.join(", ")),
        ]);
        if let Some(directory) = &self.data_directory {
            details.insert("data_directory".to_owned(), directory.clone());
        }
        if let Some(replicas) = set.body["spec"]["replicas"].as_u64() {
            details.insert("replicas".to_owned(), replicas.to_string());
        }
        if let Some(resources) = self.engine().get("resources").filter(|r| !r.is_null()) {
            details.insert("resources".to_owned(), resources.to_string());
        }
        SourceFacts {
            location: Kind::StatefulSet.named(Some(&self.workload.namespace), &set.name),
            version: self.image.clone(),
            size_bytes: 0,
            clock_skew_ms: 0,
            settings: BTreeMap::new(),
            details,
        }
    }

    /// The engine's container.
    pub(super) fn engine(&self) -> &Value {
        self.workload
            .container(&self.container)
            .unwrap_or(&Value::Null)
    }

    /// The claims of the volumes that matter, by volume.
    pub(super) fn claims(&self, ordinal: u32) -> Vec<(String, String)> {
        let claims = self.volumes.iter();
        claims
            .filter_map(|volume| Some((volume.clone(), self.workload.claim(volume, ordinal)?)))
            .collect()
    }
}
