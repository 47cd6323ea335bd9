//! Every kind of thing that a record may tell of, beside those of a local drill
//! of a dump.

use lifeboat::domain::{
    record::RunRecord,
    recovery_point::{Artifact, CutBasis, VolumeCut},
    resource::{ClusterRef, FromCluster, Resource, WorkloadRef},
    store::{S3Credentials, S3Place, SecretSource},
    verdict::{Cleanup, Leak},
};

use super::records::passed;

/// A record for each of the other kinds of recovery points and cuts, that left
/// resources of each of the other kinds behind.
pub fn others() -> Vec<RunRecord> {
    let bases = [
        CutBasis::Storage,
        CutBasis::Header,
        CutBasis::FileTime,
        CutBasis::Unknown,
    ];
    let artifacts = artifacts().into_iter().zip(bases);
    let records = artifacts.map(|(artifact, basis)| {
        let mut record = passed();
        record.workload = Some(WorkloadRef {
            cluster: staging(),
            namespace: "shop".to_owned(),
            stateful_set: "db".to_owned(),
        });
        let point = record.recovery_point.as_mut().unwrap();
        point.artifact = artifact;
        point.cut.basis = basis;
        let leaks = resources().into_iter().map(|resource| Leak {
            resource,
            reason: "forbidden".to_owned(),
        });
        record.cleanup = Cleanup::Leaked {
            resources: leaks.collect(),
        };
        record
    });
    records.collect()
}

fn artifacts() -> [Artifact; 4] {
    let stored = |key: &str, format: &str| Artifact::StoredDump {
        location: format!("s3://backups/{key}"),
        key: key.to_owned(),
        format: format.to_owned(),
    };
    let volumes = Artifact::Volumes {
        snapshots: vec![VolumeCut {
            volume: "data-shop-0".to_owned(),
            snapshot: "shop/lb-3f9a1c0de5b2-0".to_owned(),
            content: "snapcontent-1".to_owned(),
            driver: "hostpath.csi.k8s.io".to_owned(),
            handle: "a1b2".to_owned(),
            least_bytes: 1 << 30,
            cut_at: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        }],
    };
    let physical = Artifact::PhysicalBackup {
        path: "/backups/app.db".into(),
    };
    [
        volumes,
        stored("shop.dump", "custom"),
        physical,
        stored("shop/", "directory"),
    ]
}

fn staging() -> ClusterRef {
    ClusterRef {
        kubeconfig: Some("/etc/kubeconfig".into()),
        context: Some("staging".to_owned()),
    }
}

fn resources() -> [Resource; 3] {
    let cluster = staging();
    let namespace = "shop".to_owned();
    let secret = |key: &str| SecretSource::Kubernetes {
        name: "bucket".to_owned(),
        key: key.to_owned(),
    };
    let place = S3Place {
        endpoint: Some("https://store.example".to_owned()),
        region: "eu-central-1".to_owned(),
        bucket: "backups".to_owned(),
        path_style: true,
        credentials: Some(S3Credentials {
            access_key_id: SecretSource::Env("KEY".to_owned()),
            secret_access_key: SecretSource::File("/run/secret".into()),
            session_token: Some(secret("token")),
        }),
        ca_certificates: Some("/etc/ca.pem".into()),
    };
    [
        Resource::Namespace {
            cluster: cluster.clone(),
            name: "lb-3f9a1c0de5b2".to_owned(),
            uid: Some("a1b2".to_owned()),
        },
        Resource::Snapshots {
            cluster: cluster.clone(),
            namespace: namespace.clone(),
        },
        Resource::Objects {
            place: Box::new(place),
            prefix: "lifeboat".to_owned(),
            from: Some(FromCluster { cluster, namespace }),
        },
    ]
}
