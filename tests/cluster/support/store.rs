//! An S3 server in the cluster, of a test's own, and a bucket in it.

use super::{
    kubectl::{apply, kubectl},
    site,
    source::Source,
};

/// The bucket that is there.
pub const BUCKET: &str = "drills";

/// What is written down nowhere but in a Secret.
pub const SECRET: &str = "secret-of-the-store";

/// The place as a drill file says it, by the host that it names.
pub fn place(host: &str, key: &str) -> String {
    format!(
        "s3: {{ endpoint: \"http://{host}:7070\", bucket: {BUCKET}, key: \"{key}\", \
         credentials: {{ accessKeyId: {{ secret: {{ name: s3-auth, key: id }} }}, \
         secretAccessKey: {{ secret: {{ name: s3-auth, key: secret }} }} }} }}"
    )
}

/// The server, in the source's namespace; gone with it.
pub struct Store<'a> {
    source: &'a Source,
}

impl<'a> Store<'a> {
    /// Starts it, and waits until it answers.
    pub fn new(source: &'a Source) -> Self {
        let store = Self { source };
        apply(&store.manifests());
        store.kubectl(&["wait", "--for=condition=Ready", "pod/s3", "--timeout=180s"]);
        store
    }

    /// Its name, which pods can ask for.
    pub fn service(&self) -> String {
        format!("s3.{}.svc", self.source.namespace)
    }

    /// Its address, which this machine reaches, too.
    pub fn address(&self) -> String {
        self.kubectl(&["get", "pod", "s3", "-o", "jsonpath={.status.podIP}"])
    }

    /// Everything in the bucket, unfinished uploads too, by the server's files.
    pub fn objects(&self) -> Vec<String> {
        let found = self.exec("find /store/drills -type f");
        let mut found: Vec<_> = found.lines().map(str::to_owned).collect();
        found.sort();
        found
    }

    /// Runs a command beside the server.
    pub fn exec(&self, script: &str) -> String {
        self.kubectl(&["exec", "s3", "-c", "beside", "--", "sh", "-c", script])
    }

    fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", &self.source.namespace], args].concat())
    }

    fn manifests(&self) -> String {
        let namespace = &self.source.namespace;
        format!(
            r"apiVersion: v1
kind: Secret
metadata: {{ name: s3-auth, namespace: {namespace} }}
stringData: {{ id: the-key, secret: {SECRET} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: s3, namespace: {namespace} }}
spec:
  selector: {{ app: s3 }}
  ports: [ {{ port: 7070 }} ]
---
apiVersion: v1
kind: Pod
metadata: {{ name: s3, namespace: {namespace}, labels: {{ app: s3 }} }}
spec:
  volumes: [ {{ name: store, emptyDir: {{}} }}, {{ name: attributes, emptyDir: {{}} }} ]
  containers:
  - name: beside
    image: {shell}
    command: [sh, -c, 'mkdir -p /store/{BUCKET}; exec sleep infinity']
    readinessProbe: {{ exec: {{ command: [test, -d, /store/{BUCKET}] }}, periodSeconds: 1 }}
    volumeMounts: [ {{ name: store, mountPath: /store }} ]
  - name: s3
    image: {server}
    args: [--port, ':7070', posix, --sidecar, /attributes, /store]
    env:
    - {{ name: ROOT_ACCESS_KEY, value: the-key }}
    - {{ name: ROOT_SECRET_KEY, value: {SECRET} }}
    readinessProbe: {{ tcpSocket: {{ port: 7070 }}, periodSeconds: 1 }}
    volumeMounts:
    - {{ name: store, mountPath: /store }}
    - {{ name: attributes, mountPath: /attributes }}
",
            shell = site::POSTGRES.name(),
            server = site::S3.name(),
        )
    }
}
