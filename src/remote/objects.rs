//! The agent's own objects: its task, its secrets, its names.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{RemoteEngine, access, bucket};
use crate::{
    agent::protocol::{Task, Work},
    domain::failure::{Failure, FailureKind},
    engine::Context,
    k8s::{Kind, Maker, missing},
    secret,
    spec::drill::{Drill, SecretSource, Workload},
    workload::{
        Part,
        rewrite::{self, BINARY, FIRST, LAST_WORDS, SHARED, TASK},
    },
};

/// The key of the task in its Secret, and so the file's name.
pub const TASK_FILE: &str = "task.json";

/// The key of the source's password.
const PASSWORD_FILE: &str = "password";

/// The label by which the policies tell the pods apart.
pub(super) const ROLE: &str = "lifeboat.dev/role";

/// The claim that a dump is written to.
pub(super) const DUMP_CLAIM: &str = "lifeboat-dump";

/// Where it is mounted.
pub(super) const DUMP_DIRECTORY: &str = "/lifeboat/dump";

/// The label of pods that may reach the source.
pub(super) const AT_SOURCE: &str = "at-source";

/// The label of pods that may reach the bucket, and nothing else.
pub(super) const AT_BUCKET: &str = "at-bucket";

impl RemoteEngine {
    pub(super) async fn maker(&self, cx: &Context) -> Result<Maker, Failure> {
        Ok(Maker {
            cluster: self.cluster().await?,
            run: cx.run,
            drill: self.drill.name.to_string(),
        })
    }

    /// Makes the Secrets with which images are pulled, before the first pod that
    /// needs them. What was made may not be looked at again: so it is kept in
    /// mind.
    pub(super) async fn make_pull_secrets(
        &self,
        maker: &Maker,
        namespace: &str,
    ) -> Result<(), Failure> {
        let scene = self.scene().await?;
        let mut state = self.state.lock().await;
        if state.can_pull {
            return Ok(());
        }
        for Part { kind, name, body } in rewrite::pull_secrets(&scene.workload) {
            maker.make(kind, Some(namespace), &name, body).await?;
        }
        state.can_pull = true;
        Ok(())
    }

    /// Writes a task down where a pod finds it, with the source's password
    /// where the work goes there.
    pub(super) async fn make_task(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        name: &str,
        work: Work,
    ) -> Result<(), Failure> {
        let to_source = work.is_at_source();
        let mut files = match self.drill.bucket() {
            Some(place) if work.is_at_bucket() => self.bucket_files(place).await?,
            _ => BTreeMap::new(),
        };
        let mut drill = self.drill_for_agent(to_source);
        bucket::as_in_pod(&mut drill, &files);
        let task = Task {
            run: cx.run,
            drill,
            work,
        };
        let text = serde_json::to_vec(&task).map_err(|error| internal(&error))?;
        files.insert(TASK_FILE, ByteString(text));
        if to_source && let Some(password) = self.password().await? {
            files.insert(PASSWORD_FILE, password);
        }
        let data = serde_json::to_value(files).map_err(|error| internal(&error))?;
        let body = json!({ "data": data, "immutable": true });
        maker
            .make(Kind::Secret, Some(namespace), name, body)
            .await?;
        Ok(())
    }

    /// The drill as it holds in the pod: files of this machine are not there.
    fn drill_for_agent(&self, to_source: bool) -> Drill {
        let mut drill = self.drill.clone();
        let Workload::Postgresql(workload) = &mut drill.workload else {
            return drill;
        };
        if let Some(connection) = &mut workload.connection {
            let file = format!("{TASK}/{PASSWORD_FILE}").into();
            let password = connection.password.take();
            connection.password = password
                .filter(|_| to_source)
                .map(|_| SecretSource::File(file));
        }
        drill
    }

    pub(super) async fn password(&self) -> Result<Option<ByteString>, Failure> {
        let Workload::Postgresql(workload) = &self.drill.workload else {
            return Ok(None);
        };
        let Some(source) = workload
            .connection
            .as_ref()
            .and_then(|c| c.password.as_ref())
        else {
            return Ok(None);
        };
        if let SecretSource::Kubernetes { name, key } = source {
            let secret = self.of_workload(Kind::Secret, name).await?;
            let namespace = self.workload.namespace.as_str();
            let secret = secret.ok_or_else(|| missing(Kind::Secret, Some(namespace), name))?;
            return access::of_secret(&secret, key).map(Some);
        }
        let password = secret::read("the password", source)?;
        Ok(Some(ByteString(
            password.expose_secret().as_bytes().to_vec(),
        )))
    }

    /// A pod of Lifeboat's own, in the engine's image.
    pub(super) async fn worker(
        &self,
        task: &str,
        role: &str,
        claims: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let scene = self.scene().await?;
        let run_as = self.drill.kubernetes.as_ref().and_then(|k| k.run_as);
        let of_pod = &scene.workload.template()["spec"]["securityContext"];
        let mut context = json!({
            "runAsNonRoot": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        for (field, number) in [
            ("runAsUser", run_as.map(|(user, _)| user)),
            ("runAsGroup", run_as.map(|(_, group)| group)),
            ("fsGroup", run_as.map(|(_, group)| group)),
        ] {
            let named = of_pod.get(field).filter(|id| **id != 0).cloned();
            if let Some(id) = named.or_else(|| number.map(Value::from)) {
                context[field] = id;
            }
        }
        let locked = json!({
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        });
        let mut volumes = vec![
            json!({ "name": "lifeboat-bin", "emptyDir": {} }),
            json!({ "name": "lifeboat-run", "emptyDir": {} }),
            json!({ "name": "lifeboat-task", "secret": { "secretName": task } }),
        ];
        let mut mounts = vec![
            json!({ "name": "lifeboat-bin", "mountPath": "/lifeboat/bin" }),
            json!({ "name": "lifeboat-run", "mountPath": SHARED }),
            json!({ "name": "lifeboat-task", "mountPath": TASK, "readOnly": true }),
        ];
        for (claim, path) in claims {
            volumes.push(json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } }));
            mounts.push(json!({ "name": claim, "mountPath": path }));
        }
        Ok(json!({
            "metadata": { "labels": { ROLE: role } },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "securityContext": context,
                "imagePullSecrets": rewrite::named_pull_secrets(&scene.workload),
                "volumes": volumes,
                "initContainers": [{
                    "name": FIRST[0],
                    "image": self.image,
                    "args": ["agent", "install", BINARY],
                    "terminationMessagePolicy": LAST_WORDS,
                    "volumeMounts": [{ "name": "lifeboat-bin", "mountPath": "/lifeboat/bin" }],
                    "securityContext": locked,
                }],
                "containers": [{
                    "name": rewrite::AGENT,
                    "image": scene.image,
                    "imagePullPolicy": scene.engine()["imagePullPolicy"],
                    "command": [BINARY, "agent", "work", format!("{TASK}/{TASK_FILE}")],
                    "volumeMounts": mounts,
                    "securityContext": locked,
                    "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
                }],
            },
        }))
    }
}

fn internal(error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureKind::Internal,
        format!("cannot describe the agent's task: {error}"),
    )
}
