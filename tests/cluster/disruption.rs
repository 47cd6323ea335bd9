//! Parts of the cluster go away in the middle of a drill. These tests disturb
//! everything else in the cluster, so `.ci/cluster` runs them alone, and only on
//! a cluster that it has brought up itself.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        kubectl::{kubectl, leftovers, objects, until},
        lifeboat::{Lifeboat, record},
        progress::{SLOW, sandbox_of, until_running},
        source::Source,
    },
};

/// The script that starts whatever of the cluster does not run.
fn up() -> Option<PathBuf> {
    let script = std::env::var_os("LIFEBOAT_TEST_CLUSTER_UP");
    if script.is_none() {
        eprintln!("UNTESTED: LIFEBOAT_TEST_CLUSTER_UP names no script that restarts daemons");
    }
    script.map(PathBuf::from)
}

/// Kills a daemon of the cluster and starts it again.
fn restart(up: &PathBuf, daemon: &str) {
    let state = crate::support::kubeconfig().unwrap();
    let file = state.parent().unwrap().join("pids").join(daemon);
    let text = std::fs::read_to_string(&file).unwrap();
    let pid = text.split_whitespace().next().unwrap().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    // A large process takes a moment to end, and is taken for running till then.
    let process = PathBuf::from(format!("/proc/{pid}"));
    until("the daemon to have ended", || !process.exists());
    let output = Command::new(up).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

/// A drill whose checks take a while.
fn drill(source: &Source, lifeboat: &Lifeboat, seconds: u32) {
    let spec = format!(
        "  recoveryPoint: {{ snapshot: {{}} }}\n  canary: {{ table: lifeboat.canary }}\n  checks:\n    \
         queries:\n    - {{ name: slow, expect: some rows, sql: \"select pg_sleep({seconds})\" }}\n"
    );
    lifeboat.drill(source, true, "", &spec);
}

fn clean(record: &Value) {
    assert_eq!(record["cleanup"]["state"], "clean", "{record:#}");
    let id = record["id"].as_str().unwrap();
    assert_eq!(leftovers(id), Vec::<String>::new());
}

#[test]
fn the_api_server_may_be_restarted_at_any_time() {
    needs_cluster!();
    let Some(up) = up() else { return };
    let source = Source::new("apigone");
    let lifeboat = Lifeboat::new();
    drill(&source, &lifeboat, 60);
    let run = lifeboat.begin();
    // While volumes are made and the copy starts, and then while it is checked.
    let namespace = sandbox_of(&source);
    restart(&up, "kube-apiserver");
    until_running(&namespace);
    restart(&up, "kube-apiserver");
    let record = record(&run.wait_with_output().unwrap());
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary", "{record:#}");
    clean(&record);
}

#[test]
fn the_kubelet_may_be_restarted() {
    needs_cluster!();
    let Some(up) = up() else { return };
    let source = Source::new("kubelet");
    let lifeboat = Lifeboat::new();
    drill(&source, &lifeboat, 45);
    let run = lifeboat.begin();
    let namespace = sandbox_of(&source);
    restart(&up, "kubelet-1");
    until_running(&namespace);
    restart(&up, "kubelet-1");
    let record = record(&run.wait_with_output().unwrap());
    assert_eq!(record["verdict"], "passed", "{record:#}");
    clean(&record);
}

#[test]
fn a_node_that_is_drained_ends_the_run_and_leaves_nothing() {
    needs_cluster!(up().is_some());
    let source = Source::new("drain");
    let lifeboat = Lifeboat::new();
    let spec = format!("  recoveryPoint: {{ snapshot: {{}} }}\n{SLOW}");
    lifeboat.drill(&source, false, "", &spec);
    let run = lifeboat.begin();
    let namespace = sandbox_of(&source);
    until_running(&namespace);
    let pods = objects(&["-n", &namespace, "pods"]);
    let node = pods[0]["spec"]["nodeName"].as_str().unwrap().to_owned();
    // No others: the source has nowhere to go.
    kubectl(&[
        "drain",
        &node,
        "--force",
        "--delete-emptydir-data",
        "--ignore-daemonsets",
        "--pod-selector=lifeboat.dev/run",
    ]);
    kubectl(&["uncordon", &node]);
    let record = record(&run.wait_with_output().unwrap());
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    let text = format!("{:#}", record["failure"]);
    let told = text.contains("was ended by somebody else") || text.contains("went away");
    assert!(told, "{text}");
    clean(&record);
}
