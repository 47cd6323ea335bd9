//! Trying out what a drill in Kubernetes will need, before anything is made.

use kube::ResourceExt;

use super::{
    RemoteEngine,
    rights::{
        Extent, ask, in_cluster, to_cut_snapshots, to_find_snapshots, to_gather, to_read_secret,
    },
    storage,
};
use crate::{
    domain::{
        check::{Finding, Severity},
        failure::{Failure, FailureKind},
        recovery_point::Artifact,
    },
    engine::Context,
    k8s::{Cluster, Kind, Permission, Scope},
    spec::drill::{RecoveryPointSource, SecretSource},
    workload::{self, rewrite},
};

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn rights_are_missing(&self) -> bool {
        let wrong = |one: &&Finding| one.subject == "rights" && one.severity == Severity::Error;
        self.0.iter().any(|one| wrong(&one))
    }

    /// Adds how trying something went.
    fn add(&mut self, subject: &str, tried: Result<String, Failure>) {
        match tried {
            Ok(message) => self.0.push(Finding::ok(subject, message)),
            // It was said already which right is missing.
            Err(failure) if failure.kind == FailureKind::Denied && self.rights_are_missing() => {}
            Err(failure) => self.0.push(Finding::failed(subject, &failure)),
        }
    }
}

impl RemoteEngine {
    /// Rights, objects and classes, each with what to do about it.
    pub(super) async fn try_everything(&self, cx: &Context) -> Vec<Finding> {
        let mut found = Findings::default();
        let cluster = match self.cluster().await {
            Ok(cluster) => cluster,
            Err(failure) => return vec![Finding::failed("cluster", &failure)],
        };
        let reached = cluster.groups().await.map(|_| cluster.name.clone());
        let is_reached = reached.is_ok();
        found.add("cluster", reached);
        if !is_reached {
            return found.0;
        }
        match self.rights(&cluster).await {
            Ok(rights) => found.0.extend(rights),
            Err(failure) => found.add("rights", Err(failure)),
        }
        found.0.push(self.image_finding());
        let looked = self.describe_workload().await;
        let is_whole = looked.is_ok();
        found.add("workload", looked);
        if is_whole {
            found.add("copy", self.try_rewriting().await);
            found.add("storage classes", self.try_classes(&cluster).await);
            self.try_recovery_point(cx, &mut found).await;
        }
        if self.connection().is_ok() && self.asks_source() {
            found.add("source", self.describe_way().await);
            let password = self.password().await;
            found.add(
                "password",
                password.map(|one| match one {
                    Some(_) => "readable".to_owned(),
                    None => "none is named".to_owned(),
                }),
            );
        }
        found.0
    }

    async fn rights(&self, cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
        let wanted = self.permissions(cluster).await?;
        ask(cluster, &self.role, wanted).await
    }

    /// Everything that a run of this drill does at the API server, outside of
    /// its sandbox.
    async fn permissions(&self, cluster: &Cluster) -> Result<Vec<Permission>, Failure> {
        let home = self.workload.namespace.as_str();
        let (cuts, snapshots) = match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(_) => (true, true),
            RecoveryPointSource::ExistingSnapshot(_) => (false, true),
            _ => (false, false),
        };
        let several = self.workload.wal_volume.is_some();
        let mut all = in_cluster(Extent {
            snapshots,
            cuts,
            groups: cuts && several,
        });
        if self.workload.manifests.is_empty() {
            all.extend(to_gather(home));
            all.extend(self.secrets(cluster, home).await?);
        }
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(_) => all.extend(to_cut_snapshots(home, several)),
            RecoveryPointSource::ExistingSnapshot(wanted) if wanted.content.is_none() => {
                all.extend(to_find_snapshots(home));
            }
            _ => {}
        }
        if self.asks_source() {
            all.extend(self.at_connection());
        }
        all.extend(self.at_store());
        Ok(all)
    }

    /// The Secrets that the workload's template and its account name.
    async fn secrets(&self, cluster: &Cluster, home: &str) -> Result<Vec<Permission>, Failure> {
        let name = &self.workload.stateful_set;
        let found = match cluster.get(Kind::StatefulSet, Some(home), name).await {
            Err(failure) if failure.kind == FailureKind::Denied => None,
            found => found?,
        };
        let spec = found.map(|set| set.data["spec"]["template"]["spec"].clone());
        let spec = spec.unwrap_or_default();
        let mut all = workload::references(&spec);
        let account = workload::account(&spec);
        let account = match cluster.get(Kind::ServiceAccount, Some(home), account).await {
            Err(failure) if failure.kind == FailureKind::Denied => None,
            found => found?,
        };
        let account = account.map(|account| account.data).unwrap_or_default();
        all.extend(workload::through_account(&spec, &account));
        let secrets = all.iter().filter(|one| one.kind == Kind::Secret);
        Ok(secrets.map(|one| to_read_secret(home, &one.name)).collect())
    }

    /// What reaching the source needs.
    fn at_connection(&self) -> Vec<Permission> {
        let Ok(connection) = self.connection() else {
            return Vec::new();
        };
        let service = self.to_look_up(&connection.host);
        let password = self.to_read(connection.password.as_ref());
        service.into_iter().chain(password).collect()
    }

    /// What reaching the drill's bucket needs.
    fn at_store(&self) -> Vec<Permission> {
        let Some(place) = self.drill.bucket() else {
            return Vec::new();
        };
        let service = self.to_look_up(&place.host_and_port().0);
        let credentials = place.credentials.iter().flat_map(|given| {
            let token = given.session_token.as_ref();
            [
                Some(&given.access_key_id),
                Some(&given.secret_access_key),
                token,
            ]
        });
        let secrets = credentials.filter_map(|source| self.to_read(source));
        service.into_iter().chain(secrets).collect()
    }

    /// What is needed to find a host, if it is a Service.
    fn to_look_up(&self, host: &str) -> Option<Permission> {
        let (_, namespace) = self.service_named(host)?;
        let scope = Scope::Namespace(namespace);
        Some(Permission::new("get", Kind::Service, scope))
    }

    /// What is needed to read a secret, if it is one of the cluster's.
    fn to_read(&self, source: Option<&SecretSource>) -> Option<Permission> {
        match source? {
            SecretSource::Kubernetes { name, .. } => {
                Some(to_read_secret(&self.workload.namespace, name))
            }
            SecretSource::Env(_) | SecretSource::File(_) => None,
        }
    }

    /// Whether the run talks to the engine at the source.
    fn asks_source(&self) -> bool {
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(wanted) => wanted.hold || self.drill.canary.is_some(),
            RecoveryPointSource::ExistingSnapshot(_) => false,
            _ => true,
        }
    }

    fn image_finding(&self) -> Finding {
        if self.image_is_named {
            return Finding::ok("image", self.image.clone());
        }
        let message = format!("{} is taken, as none is named", self.image);
        Finding::warning("image", message)
            .hint("set LIFEBOAT_IMAGE to an image with this very version that the cluster can pull")
    }

    async fn describe_workload(&self) -> Result<String, Failure> {
        let scene = self.scene().await?;
        Ok(format!(
            "container {} ({}), volumes {}, {} more objects",
            scene.container,
            scene.image,
            scene.volumes.join(", "),
            scene.workload.parts.len()
        ))
    }

    /// Whether the workload's objects can live in a sandbox.
    async fn try_rewriting(&self) -> Result<String, Failure> {
        let rewritten = self.rewritten_without_data().await?;
        let notes = rewritten.notes.len();
        Ok(format!(
            "the objects fit into a sandbox, with {notes} changes that a run will note"
        ))
    }

    async fn rewritten_without_data(&self) -> Result<rewrite::Rewritten, Failure> {
        let scene = self.scene().await?;
        let none = std::collections::BTreeMap::new();
        rewrite::rewrite(&scene.workload, &self.rules(false, none).await?)
    }

    /// The storage classes of all claims that the copy will have.
    async fn try_classes(&self, cluster: &Cluster) -> Result<String, Failure> {
        let mut names = std::collections::BTreeSet::new();
        for claim in self.rewritten_without_data().await?.claims {
            let class = storage::class_for(cluster, &claim.body).await?;
            names.insert(class.name_any());
        }
        Ok(names.into_iter().collect::<Vec<_>>().join(", "))
    }

    async fn try_recovery_point(&self, cx: &Context, found: &mut Findings) {
        match &self.drill.recovery_point {
            RecoveryPointSource::Snapshot(wanted) => {
                found.add("snapshot class", self.try_cutting(wanted).await);
            }
            RecoveryPointSource::ExistingSnapshot(wanted) => {
                let point = self.find_snapshots(cx, wanted).await;
                found.add(
                    "recovery point",
                    point.map(|point| match &point.artifact {
                        Artifact::Volumes { snapshots } => {
                            let names = snapshots.iter().map(|cut| cut.snapshot.clone());
                            names.collect::<Vec<_>>().join(", ")
                        }
                        _ => String::new(),
                    }),
                );
            }
            _ => {}
        }
    }

    async fn describe_way(&self) -> Result<String, Failure> {
        let connection = self.connection()?;
        self.way_to_source().await?;
        Ok(format!(
            "{}:{} can be let through",
            connection.host, connection.port
        ))
    }
}
