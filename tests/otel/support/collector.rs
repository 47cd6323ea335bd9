//! A real collector, which writes what it is told to a file.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::until;

/// Killed when it is dropped.
pub struct Collector {
    child: Child,
    told: PathBuf,
    pub endpoint: String,
}

impl Collector {
    /// One that has its files in `place`.
    pub fn start(place: &Path) -> Self {
        Self::with("http://127.0.0.1", place, "")
    }

    /// One that is asked by HTTPS, with this certificate and key.
    pub fn start_tls(place: &Path, [chain, key]: [&Path; 2]) -> Self {
        let (chain, key) = (chain.display(), key.display());
        let tls = format!(", tls: {{ cert_file: {chain}, key_file: {key} }}");
        Self::with("https://localhost", place, &tls)
    }

    fn with(scheme_and_host: &str, place: &Path, tls: &str) -> Self {
        let address = free();
        let told = place.join("told.json");
        let config = place.join("collector.yaml");
        let text = format!(
            "receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: '{address}'{tls} }} }} }} }}\n\
             exporters: {{ file: {{ path: '{}', flush_interval: 50ms }} }}\n\
             service:\n  telemetry: {{ metrics: {{ level: none }} }}\n  \
             pipelines: {{ traces: {{ receivers: [otlp], exporters: [file] }} }}\n",
            told.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program())
            .arg("--config")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn();
        let port = address.rsplit(':').next().unwrap();
        let collector = Self {
            child: child.unwrap(),
            told,
            endpoint: format!("{scheme_and_host}:{port}"),
        };
        until("the collector listens", || {
            TcpStream::connect(&address).is_ok()
        });
        collector
    }

    /// The spans that it was told, each with the `resource` that told it.
    pub fn spans(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.told).unwrap_or_default();
        // The last line may be written in part.
        let batches = text
            .lines()
            .map_while(|line| serde_json::from_str::<Value>(line).ok());
        let parts: Vec<Value> = batches
            .flat_map(|batch| all(&batch, "resourceSpans"))
            .collect();
        parts.iter().flat_map(of_resource).collect()
    }

    /// The spans of a run, once it has been told: the run's own first.
    pub fn trace(&self, run: &str) -> Vec<Value> {
        let id = run.replace('-', "");
        let spans = || -> Vec<Value> {
            let spans = self.spans().into_iter();
            spans
                .filter(|span| span["traceId"] == id.as_str())
                .collect()
        };
        until("the collector is told of the run", || !spans().is_empty());
        spans()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `.ci/otel-collector` has put it.
fn program() -> PathBuf {
    let program = std::env::var_os("LIFEBOAT_TEST_OTEL_COLLECTOR");
    let program =
        program.unwrap_or_else(|| panic!("no LIFEBOAT_TEST_OTEL_COLLECTOR: use `make test`"));
    program.into()
}

/// An address that nobody listens on.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn of_resource(part: &Value) -> Vec<Value> {
    let scopes = all(part, "scopeSpans");
    let mut spans: Vec<Value> = scopes
        .iter()
        .flat_map(|scope| all(scope, "spans"))
        .collect();
    for span in &mut spans {
        span["resource"] = part["resource"].clone();
    }
    spans
}

fn all(of: &Value, name: &str) -> Vec<Value> {
    of[name].as_array().cloned().unwrap_or_default()
}

/// An attribute of a span or a resource; null where it has none of that name.
pub fn attribute(of: &Value, name: &str) -> Value {
    let all = all(of, "attributes");
    let found = all.iter().find(|attribute| attribute["key"] == name);
    let kinds = found.and_then(|attribute| attribute["value"].as_object());
    let value = kinds.and_then(|kinds| kinds.values().next());
    value.cloned().unwrap_or_default()
}

/// The names of a span's events.
pub fn events(span: &Value) -> Vec<String> {
    let all = all(span, "events");
    all.iter()
        .map(|event| event["name"].as_str().unwrap().to_owned())
        .collect()
}
