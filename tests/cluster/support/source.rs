//! A PostgreSQL StatefulSet of a test's own, with somebody writing to it.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;

use super::{
    kubectl::{apply, kubectl, objects, try_kubectl, until},
    site,
};

/// The source; removed when dropped.
pub struct Source {
    pub namespace: String,
    writer: Option<(Arc<AtomicBool>, JoinHandle<u64>)>,
}

/// What is to be different about a source.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The log on a volume of its own.
    pub wal: bool,
    /// More of the pod's specification, as lines with the right indent.
    pub pod: String,
    pub engine: Engine,
}

/// An image of the engine, and the number of the user that it runs as.
#[derive(Debug, Clone)]
pub struct Engine {
    image: String,
    user: String,
}

impl Engine {
    /// On musl, as Alpine's images are.
    pub fn musl() -> Self {
        Self {
            image: site::MUSL.name(),
            user: site::MUSL_USER.name(),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            image: site::POSTGRES.name(),
            user: site::POSTGRES_USER.name(),
        }
    }
}

impl Source {
    /// Makes and fills it, and waits until it answers.
    pub fn new(name: &str) -> Self {
        Self::of(name, &Shape::default())
    }

    pub fn of(name: &str, shape: &Shape) -> Self {
        let namespace = format!("t-{name}");
        let source = Self {
            namespace,
            writer: None,
        };
        source.remove();
        apply(&source.manifests(shape));
        kubectl(&[
            "-n",
            &source.namespace,
            "rollout",
            "status",
            "statefulset/db",
            "--timeout=180s",
        ]);
        // A server may be started anew just after it has been ready.
        until("the source to answer", || {
            try_kubectl(&source.asking("select 1"))
        });
        source.psql(
            "create role lifeboat login password 'lb-secret'; \
             grant connect on database shop to lifeboat; grant pg_read_all_data to lifeboat; \
             grant execute on function pg_backup_start(text, boolean) to lifeboat; \
             grant execute on function pg_backup_stop(boolean) to lifeboat; \
             create schema lifeboat; grant usage, create on schema lifeboat to lifeboat; \
             create table orders (id bigserial primary key, note text not null); \
             insert into orders (note) select md5(g::text) from generate_series(1, 20000) g",
        );
        source
    }

    /// All its objects as YAML.
    pub fn manifests(&self, shape: &Shape) -> String {
        let namespace = &self.namespace;
        let claim = |name: &str| {
            format!(
                "  - metadata: {{ name: {name} }}\n    spec:\n      accessModes: [ReadWriteOnce]\n      \
                 storageClassName: {}\n      \
                 resources: {{ requests: {{ storage: 1Gi }} }}\n",
                site::CLASS.name()
            )
        };
        let (wal_claim, wal_mount, wal_env) = if shape.wal {
            (
                claim("wal"),
                ", { name: wal, mountPath: /wal }",
                "        - { name: POSTGRES_INITDB_ARGS, value: --waldir=/wal/pg_wal }\n",
            )
        } else {
            (String::new(), "", "")
        };
        format!(
            r"apiVersion: v1
kind: Namespace
metadata: {{ name: {namespace} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: db-auth, namespace: {namespace} }}
stringData: {{ password: s3cret-of-the-source }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: drill-auth, namespace: {namespace} }}
stringData: {{ password: lb-secret }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: db-conf, namespace: {namespace} }}
data: {{ work_mem: 6MB }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: db, namespace: {namespace} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: db, namespace: {namespace} }}
spec:
  selector: {{ app: db }}
  ports: [ {{ name: sql, port: 5432, targetPort: sql }} ]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: db, namespace: {namespace} }}
spec:
  serviceName: db
  selector: {{ matchLabels: {{ app: db }} }}
  template:
    metadata: {{ labels: {{ app: db }} }}
    spec:
      serviceAccountName: db
      securityContext: {{ runAsUser: {user}, runAsGroup: {user}, fsGroup: {user} }}
{pod}
      containers:
      - name: postgres
        image: {image}
        args: [postgres, -c, track_commit_timestamp=on, -c, work_mem=$(WORK_MEM)]
        env:
        - {{ name: POSTGRES_PASSWORD, valueFrom: {{ secretKeyRef: {{ name: db-auth, key: password }} }} }}
        - {{ name: WORK_MEM, valueFrom: {{ configMapKeyRef: {{ name: db-conf, key: work_mem }} }} }}
        - {{ name: POSTGRES_DB, value: shop }}
        - {{ name: PGDATA, value: /data/pg }}
{wal_env}        ports: [ {{ name: sql, containerPort: 5432 }} ]
        readinessProbe: {{ exec: {{ command: [pg_isready, -h, 127.0.0.1] }}, periodSeconds: 1 }}
        resources: {{ requests: {{ cpu: 50m, memory: 64Mi }} }}
        volumeMounts: [ {{ name: data, mountPath: /data }}{wal_mount} ]
  volumeClaimTemplates:
{data_claim}{wal_claim}",
            pod = shape.pod,
            image = shape.engine.image,
            user = shape.engine.user,
            data_claim = claim("data"),
        )
    }

    /// Asks the source itself.
    pub fn psql(&self, sql: &str) -> String {
        self.psql_in("shop", sql)
    }

    /// The same in another database.
    pub fn psql_in(&self, database: &str, sql: &str) -> String {
        kubectl(&self.asking_in(database, sql)).trim().to_owned()
    }

    fn asking<'a>(&'a self, sql: &'a str) -> Vec<&'a str> {
        self.asking_in("shop", sql)
    }

    fn asking_in<'a>(&'a self, database: &'a str, sql: &'a str) -> Vec<&'a str> {
        let mut args = vec!["-n", &self.namespace, "exec", "db-0", "--", "psql", "-XqAt"];
        args.extend(["-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        args.extend(["-c", sql]);
        args
    }

    /// Sets somebody to write rows, until the source is dropped or the writer
    /// is stopped.
    pub fn keep_writing(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, namespace) = (stop.clone(), self.namespace.clone());
        let kubeconfig = super::kubeconfig().unwrap();
        let writing = std::thread::spawn(move || {
            let mut rounds = 0;
            while !told.load(Ordering::Relaxed) {
                let script = "for i in $(seq 50); do psql -Xq -U postgres -d shop -c \
                              \"insert into orders (note) select md5(random()::text) from \
                              generate_series(1, 20); update orders set note = note || '.' where \
                              id % 97 = 1\" || exit 1; done";
                let done = Command::new("kubectl")
                    .env("KUBECONFIG", &kubeconfig)
                    .args(["-n", &namespace, "exec", "db-0", "--", "sh", "-c", script])
                    .output();
                rounds += u64::from(done.is_ok_and(|output| output.status.success()));
            }
            rounds
        });
        self.writer = Some((stop, writing));
    }

    /// Everything of the source that a drill must not change.
    pub fn objects(&self) -> Vec<Value> {
        let kinds = "statefulsets,services,secrets,configmaps,persistentvolumeclaims,\
                     volumesnapshots,volumegroupsnapshots,networkpolicies,serviceaccounts,pods";
        let mut all = objects(&["-n", &self.namespace, &site::known(kinds)]);
        for object in &mut all {
            // What the cluster itself counts and tells.
            for field in ["managedFields", "resourceVersion", "generation"] {
                object["metadata"][field] = Value::Null;
            }
            if object["kind"] != "VolumeSnapshot" {
                object["status"] = Value::Null;
            }
        }
        all
    }

    /// What stands behind its snapshots and groups of them, outside of its
    /// namespace.
    pub fn contents(&self) -> Vec<Value> {
        let kinds = "volumesnapshotcontents,volumegroupsnapshotcontents";
        let mut all = objects(&[&site::known(kinds)]);
        all.retain(|content| {
            let spec = &content["spec"];
            ["volumeSnapshotRef", "volumeGroupSnapshotRef"]
                .iter()
                .any(|of| spec[*of]["namespace"] == self.namespace.as_str())
        });
        all
    }

    fn remove(&self) {
        try_kubectl(&[
            "delete",
            "namespace",
            &self.namespace,
            "--ignore-not-found",
            "--wait=true",
        ]);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.writer {
            stop.store(true, Ordering::Relaxed);
        }
        let namespace = &self.namespace;
        try_kubectl(&[
            "delete",
            "namespace",
            namespace,
            "--ignore-not-found",
            "--wait=false",
        ]);
    }
}
