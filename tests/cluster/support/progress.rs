//! A run that is going on, seen from outside.

use super::{
    kubectl::{objects, until},
    source::Source,
};

/// A check that does not end by itself, so that there is time to interfere.
pub const SLOW: &str = "  checks:\n    queries:\n    - { name: slow, expect: some rows, sql: \
                        \"select pg_sleep(600)\" }\n";

/// The name of the sandbox of the run that goes on.
pub fn sandbox_of(source: &Source) -> String {
    let selector = format!("lifeboat.dev/drill={}", source.namespace);
    let mut name = String::new();
    until("a sandbox", || {
        let found = objects(&["namespaces", "-l", &selector]);
        name = found.first().map_or(String::new(), |ns| {
            ns["metadata"]["name"].as_str().unwrap().to_owned()
        });
        !name.is_empty()
    });
    name
}

pub fn until_running(namespace: &str) {
    until("the copy to run", || {
        objects(&["-n", namespace, "pods"])
            .iter()
            .any(|pod| pod["metadata"]["name"] == "db-0" && pod["status"]["phase"] == "Running")
    });
}
