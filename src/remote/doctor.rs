//! Looking at a cluster as a place for drills, whatever they are of. Nothing is
//! made.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::json;

use super::{
    rights::{self, Extent},
    storage,
};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
    },
    k8s::{self, Cluster, EXPIRES_AT, Kind, Object},
};

/// The oldest version of the API server that is supported.
const OLDEST: (u32, u32) = (1, 29);

/// What a cluster's administrator installs to hold Lifeboat back.
const POLICIES: &str = "admissionregistration.k8s.io";

/// Looks at everything; `namespaces` are those of workloads.
pub async fn look(cluster: &Cluster, role: &str, namespaces: &[String]) -> Vec<Finding> {
    let mut findings = match version(cluster).await {
        Ok(version) => version,
        // Without it nothing else can be asked.
        Err(failure) => return vec![Finding::failed("cluster", &failure)],
    };
    let looks = [
        account(cluster).await,
        snapshots(cluster).await,
        drivers(cluster).await,
        storage_classes(cluster).await,
        policies(cluster).await,
        permissions(cluster, role, namespaces).await,
    ];
    for looked in looks {
        match looked {
            Ok(found) => findings.extend(found),
            Err(failure) => findings.push(Finding::failed("cluster", &failure)),
        }
    }
    let untested = "untested: only a run can show that they are enforced";
    findings.push(Finding::warning("network policies", untested));
    findings
}

async fn version(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    let told = cluster.version().await?;
    let text = format!("{}, Kubernetes {}", cluster.name, told.git_version);
    let (oldest_major, oldest_minor) = OLDEST;
    let found = if (number(&told.major), number(&told.minor)) < OLDEST {
        Finding::error("cluster", text).hint(format!(
            "{oldest_major}.{oldest_minor} or newer is needed: older ones drop fields of the fence"
        ))
    } else {
        Finding::ok("cluster", text)
    };
    Ok(vec![found])
}

/// The number that a text such as `29+` begins with.
fn number(text: &str) -> u32 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0)
}

async fn account(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    Ok(vec![Finding::ok("cluster account", cluster.who().await?)])
}

async fn snapshots(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    let groups = cluster.groups().await?;
    let of_kind = |subject: &str, kind: Kind, without: &str| match groups.get(kind.group()) {
        Some(versions) if k8s::best_version(&groups, kind).is_some() => {
            Finding::ok(subject, format!("served in {}", versions.join(", ")))
        }
        Some(versions) => {
            let message = format!("served in {} only: {without}", versions.join(", "));
            Finding::warning(subject, message)
        }
        None => Finding::warning(subject, format!("not known here: {without}")),
    };
    Ok(vec![
        of_kind(
            "volume snapshots",
            Kind::VolumeSnapshot,
            "only dumps can be drilled",
        ),
        of_kind(
            "group snapshots",
            Kind::VolumeGroupSnapshot,
            "several volumes cannot be cut at one instant",
        ),
    ])
}

/// Which drivers can cut, by which classes.
async fn drivers(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    let mut by_driver: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in [Kind::VolumeSnapshotClass, Kind::VolumeGroupSnapshotClass] {
        for class in classes(cluster, kind).await? {
            let driver = class.data["driver"].as_str().unwrap_or_default().to_owned();
            let policy = class.data["deletionPolicy"].as_str().unwrap_or("?");
            let text = format!("{} {} ({policy})", kind.name(), class.name_any());
            by_driver.entry(driver).or_default().push(text);
        }
    }
    let describe = |(driver, classes): (String, Vec<String>)| {
        let text = format!("{driver}: {}", classes.join(", "));
        if classes.iter().any(|class| class.ends_with("(Delete)")) {
            return Finding::ok("CSI driver", text);
        }
        Finding::warning("CSI driver", text).hint(
            "add a VolumeSnapshotClass with deletionPolicy Delete: with the others a drill would \
             leave what it cut",
        )
    };
    Ok(by_driver.into_iter().map(describe).collect())
}

async fn storage_classes(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    let all = classes(cluster, Kind::StorageClass).await?;
    let names = |all: &[Object]| {
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        names.join(", ")
    };
    Ok(vec![match storage::default_of(&all) {
        Some(class) => {
            let text = format!("{}, by default {}", names(&all), class.name_any());
            Finding::ok("storage classes", text)
        }
        None => Finding::warning("storage classes", format!("{}, no default", names(&all)))
            .hint("a claim that names no class cannot be restored here"),
    }])
}

/// What may not be read is told by the permissions.
async fn classes(cluster: &Cluster, kind: Kind) -> Result<Vec<Object>, Failure> {
    match cluster.list(kind, None, "").await {
        Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Denied) => {
            Ok(Vec::new())
        }
        listed => listed,
    }
}

/// Whether the API server itself holds Lifeboat back: it is asked to make a
/// namespace that no policy of ours lets pass, without making it.
async fn policies(cluster: &Cluster) -> Result<Vec<Finding>, Failure> {
    const SUBJECT: &str = "admission policies";
    const INSTALL: &str = "kubectl apply -k deploy/kubernetes/admission";
    let groups = cluster.groups().await?;
    let served = groups.get(POLICIES);
    if !served.is_some_and(|versions| versions.iter().any(|version| version == "v1")) {
        let message = "not known here: Kubernetes 1.30 has them, optional for drills";
        return Ok(vec![Finding::warning(SUBJECT, message)]);
    }
    let unmarked =
        json!({ "metadata": { "name": "lb-doctor", "annotations": { EXPIRES_AT: "" } } });
    let tried = cluster.try_out(Kind::Namespace, None, unmarked).await;
    Ok(vec![match tried {
        Err(failure) if failure.message.contains("ValidatingAdmissionPolicy") => {
            Finding::ok(SUBJECT, "in force for this account")
        }
        Err(failure) => Finding::warning(SUBJECT, format!("untested: {}", failure.message)),
        Ok(()) => Finding::warning(SUBJECT, "not in force for this account, optional").hint(
            format!("to have the API server itself refuse mistakes: {INSTALL}"),
        ),
    }])
}

async fn permissions(
    cluster: &Cluster,
    role: &str,
    namespaces: &[String],
) -> Result<Vec<Finding>, Failure> {
    let mut wanted = rights::in_cluster(Extent::ALL);
    for namespace in namespaces {
        wanted.extend(rights::to_gather(namespace));
        wanted.extend(rights::to_cut_snapshots(namespace, true));
    }
    let mut findings = rights::ask(cluster, role, wanted).await?;
    let untested = if namespaces.is_empty() {
        "untested in workloads' namespaces: name them with --namespace"
    } else {
        "untested for Secrets, which are granted by name: `lifeboat check DRILL` tests them"
    };
    findings.push(Finding::warning("rights", untested));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_vendors_are_read() {
        for (text, expected) in [("29", 29), ("31+", 31), ("", 0), ("x", 0)] {
            assert_eq!(number(text), expected, "{text}");
        }
        assert!((1, number("28+")) < OLDEST && (1, number("29")) >= OLDEST);
    }
}
