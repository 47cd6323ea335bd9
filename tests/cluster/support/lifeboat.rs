//! The real binary, at work on a cluster.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use super::{account::Account, kubectl::leftovers, site, source::Source};

/// A state directory of its own.
pub struct Lifeboat {
    place: tempfile::TempDir,
    /// As whom, and what else the environment says.
    environment: Vec<(&'static str, String)>,
}

impl Lifeboat {
    pub fn new() -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
    }

    /// One that is nobody but the account.
    pub fn of(account: &Account) -> Self {
        let kubeconfig = account.kubeconfig().display().to_string();
        Self {
            environment: vec![
                ("KUBECONFIG", kubeconfig),
                ("LIFEBOAT_SANDBOX_ROLE", account.role("lifeboat-sandbox")),
            ],
            ..Self::new()
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a drill of the source; `spec` is what comes under `spec`, beside
    /// the workload.
    pub fn drill(&self, source: &Source, connected: bool, more: &str, spec: &str) -> PathBuf {
        let namespace = &source.namespace;
        let connection = if connected {
            format!(
                "      connection:\n        host: db.{namespace}.svc\n        database: shop\n        \
                 user: lifeboat\n        tls: {{ mode: disable }}\n        \
                 password: {{ secret: {{ name: drill-auth, key: password }} }}\n"
            )
        } else {
            String::new()
        };
        let text = format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {namespace} }}\n\
             spec:\n  workload:\n    postgresql:\n{connection}      kubernetes:\n        \
             namespace: {namespace}\n        statefulSet: db\n        database: shop\n{more}{spec}"
        );
        let file = self.path("drill.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .env("KUBECONFIG", super::kubeconfig().unwrap())
            .env("LIFEBOAT_IMAGE", site::LIFEBOAT.name())
            .arg("--state-dir")
            .arg(self.path("state"))
            .args(["--quiet", "--output", "json"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs the drill to its end, and shows that nothing is left of it.
    pub fn run(&self, args: &[&str]) -> Value {
        let file = self.path("drill.yaml").display().to_string();
        let mut all = vec!["run", &file];
        all.extend(args);
        let output = self.command(&all).output().unwrap();
        let record = record(&output);
        assert_eq!(record["cleanup"]["state"], "clean", "{record:#}");
        assert_eq!(
            leftovers(record["id"].as_str().unwrap()),
            Vec::<String>::new()
        );
        record
    }

    /// Begins a run.
    pub fn begin(&self) -> Child {
        let file = self.path("drill.yaml").display().to_string();
        self.command(&["run", &file]).spawn().unwrap()
    }

    pub fn sweep(&self) -> Output {
        self.command(&["sweep"]).output().unwrap()
    }

    /// All runs so far, newest first.
    pub fn runs(&self) -> Vec<Value> {
        let output = self.command(&["runs"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The record of the one run that a process made.
pub fn record(output: &Output) -> Value {
    let records: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {stderr}")
    });
    records[0].clone()
}

/// How each check ended, by name.
pub fn outcome<'a>(record: &'a Value, check: &str) -> &'a str {
    let checks = record["checks"].as_array().unwrap();
    let found = checks.iter().find(|found| found["name"] == check);
    found.map_or("absent", |found| found["outcome"].as_str().unwrap())
}

/// As part of a drill: all that can be checked of a source's copy.
pub const CHECKS: &str = "  canary: { table: lifeboat.canary }\n  checks:\n    integrity: full\n    \
                          queries: [ { name: rows, sql: select count(*) from orders, expect: \">= 20000\" } ]\n";

/// Looks that a copy of a dump has passed all [`CHECKS`], and that it runs with
/// the workload's own configuration.
pub fn is_proven_exact(record: &Value) {
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "exact");
    assert_eq!(record["canary"]["lost"], serde_json::json!([]));
    for check in [
        "load",
        "schema",
        "canary",
        "fingerprints",
        "integrity",
        "query: rows",
    ] {
        assert_eq!(outcome(record, check), "pass", "{check}");
    }
    assert_eq!(record["restore"]["settings"]["work_mem"], "6MB");
}

/// The time from one milestone to another, in microseconds.
pub fn between(record: &Value, from: &str, to: &str) -> i64 {
    let at = |name: &str| {
        let offset = &record["timeline"][name]["offset_us"];
        offset
            .as_i64()
            .unwrap_or_else(|| panic!("no {name} in {:#}", record["timeline"]))
    };
    at(to) - at(from)
}
