//! Looking at a cluster: as a place for drills, and at what runs have left.

use std::path::Path;

use kube::config::Config;

use super::App;
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        resource::ClusterRef,
    },
    k8s::{Cluster, Kind, RUN},
    remote::doctor,
    sandbox::{Found, Sandbox},
};

/// What is told of what runs have left.
const LEFTOVERS: &str = "cluster leftovers";

/// Whether there are credentials for a cluster where everybody looks for them.
#[must_use]
pub fn is_at_hand() -> bool {
    let names = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let home = std::env::var_os("HOME");
    let in_home = |home| Path::new(&home).join(".kube/config").is_file();
    names("KUBECONFIG") || home.is_some_and(in_home) || Config::incluster().is_ok()
}

/// Looks at a cluster.
pub async fn look(app: &App, place: &ClusterRef, namespaces: &[String]) -> Vec<Finding> {
    let cluster = match app.clusters.get(place).await {
        Ok(cluster) => cluster,
        Err(failure) => return vec![Finding::failed("cluster", &failure)],
    };
    let mut findings = doctor::look(&cluster, &app.sandbox_role, namespaces).await;
    findings.push(match left(app, place, &cluster).await {
        Ok(finding) => finding,
        // Which right is missing is told already.
        Err(failure) if failure.kind == FailureKind::Denied => {
            Finding::warning(LEFTOVERS, "untested: they may not be listed")
        }
        Err(failure) => Finding::failed(LEFTOVERS, &failure),
    });
    findings
}

async fn left(app: &App, place: &ClusterRef, cluster: &Cluster) -> Result<Finding, Failure> {
    let sandbox = app.namespaces().at(place.clone());
    let (others, ours): (Vec<Found>, Vec<Found>) = sandbox
        .find()
        .await?
        .into_iter()
        .partition(|found| found.in_use);
    let contents = if cluster.knows(Kind::VolumeSnapshotContent).await? {
        cluster
            .list(Kind::VolumeSnapshotContent, None, RUN)
            .await?
            .len()
    } else {
        0
    };
    if ours.is_empty() && others.is_empty() && contents == 0 {
        return Ok(Finding::ok(LEFTOVERS, "none"));
    }
    let names: Vec<String> = ours.iter().map(|found| found.resource.key()).collect();
    let message = format!(
        "{} namespaces of ours ({}), {} of other installations, {contents} snapshot contents",
        ours.len(),
        names.join(", "),
        others.len()
    );
    Ok(Finding::warning(LEFTOVERS, message)
        .hint("if no run is going on, `lifeboat sweep` removes ours"))
}
