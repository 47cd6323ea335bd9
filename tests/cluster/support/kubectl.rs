//! The cluster, as its administrator sees it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::site;

/// Runs kubectl; gives what it prints.
pub fn kubectl(args: &[&str]) -> String {
    let output = command(args).output().unwrap();
    assert!(
        output.status.success(),
        "kubectl {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The same, whether or not it succeeds.
pub fn try_kubectl(args: &[&str]) -> bool {
    command(args).output().unwrap().status.success()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command
        .env("KUBECONFIG", super::kubeconfig().unwrap())
        .args(args)
        .stdin(Stdio::null());
    command
}

/// Makes what the YAML says.
pub fn apply(yaml: &str) {
    let output = feed(&mut command(&["apply", "-f", "-"]), yaml);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{yaml}");
}

/// Runs a command that reads `input`.
pub fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Objects as kubectl prints them in JSON.
pub fn objects(args: &[&str]) -> Vec<Value> {
    let mut all = vec!["get"];
    all.extend(args);
    all.extend(["-o", "json"]);
    let list: Value = serde_json::from_str(&kubectl(&all)).unwrap();
    match list["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![list],
    }
}

/// Waits for something that has to come.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(3);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Everything in the cluster that wears the label of a run.
pub fn leftovers(run: &str) -> Vec<String> {
    let selector = format!("lifeboat.dev/run={run}");
    let kinds = "namespaces,volumesnapshotcontents,volumesnapshots,volumegroupsnapshots,pods,\
                 persistentvolumeclaims,clusterroles,clusterrolebindings";
    let mut found: Vec<String> = objects(&[&site::known(kinds), "-A", "-l", &selector])
        .iter()
        .map(|o| format!("{} {}", o["kind"], o["metadata"]["name"]))
        .collect();
    // Volumes wear no label of ours: the provisioner makes them. Nor do members
    // of a group, and what stands behind snapshots.
    let name = format!("lb-{}", &run[run.len() - 12..]);
    let ours = |place: &Value| place.as_str().is_some_and(|place| place == name);
    let unlabelled = [
        ("persistentvolumes", "/spec/claimRef/namespace"),
        ("volumesnapshots", "/status/volumeGroupSnapshotName"),
        (
            "volumegroupsnapshotcontents",
            "/spec/volumeGroupSnapshotRef/name",
        ),
    ];
    for (kind, place) in unlabelled {
        if site::known(kind).is_empty() {
            continue;
        }
        for object in objects(&[kind, "-A"]) {
            if object.pointer(place).is_some_and(ours) {
                found.push(format!("{} {}", object["kind"], object["metadata"]["name"]));
            }
        }
    }
    found
}

pub fn storage_class(name: &str, parameters: &str) {
    try_kubectl(&["delete", "storageclass", name]);
    apply(&format!(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{ name: {name} }}\n\
         provisioner: {}\nparameters: {{ {parameters} }}\n",
        site::DRIVER.name()
    ));
}
