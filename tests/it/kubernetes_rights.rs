//! What a drill has to be allowed is asked before anything is made.

use lifeboat::{
    domain::{
        check::Severity,
        store::{S3Credentials, S3Place, SecretSource},
    },
    spec::drill::{RecoveryPointSource, S3Target},
};

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Pace, world::From},
};

fn of_secret(name: &str) -> SecretSource {
    SecretSource::Kubernetes {
        name: name.to_owned(),
        key: "value".to_owned(),
    }
}

/// The rights that are missing, where nobody may ask for an object of that name.
async fn missing(scene: &Scene, denied: &'static str) -> Vec<String> {
    scene.fake.inner.state().denies = Some(denied);
    let found = scene.preflight().await.into_iter();
    let missing = found.filter(|one| one.subject == "rights" && one.severity == Severity::Error);
    missing.map(|one| one.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_of_a_bucket_is_asked_for() {
    let mut scene = Scene::new(From::Dump, Pace::default()).await;
    let RecoveryPointSource::Fresh(fresh) = &mut scene.drill.recovery_point else {
        panic!("not a fresh dump");
    };
    fresh.to = Some(S3Target {
        place: S3Place {
            endpoint: Some("http://minio.storage.svc:9000".to_owned()),
            region: "us-east-1".to_owned(),
            bucket: "backups".to_owned(),
            path_style: true,
            credentials: Some(S3Credentials {
                access_key_id: of_secret("bucket-id"),
                secret_access_key: of_secret("bucket-key"),
                session_token: Some(of_secret("bucket-token")),
            }),
            ca_certificates: None,
        },
        prefix: "lb".to_owned(),
    });
    for secret in ["db-auth", "bucket-id", "bucket-key", "bucket-token"] {
        let missing = missing(&scene, secret).await;
        let [one] = &missing[..] else {
            panic!("{secret}: {missing:?}");
        };
        assert!(one.contains("secrets") && one.contains(secret), "{one}");
    }
    assert_eq!(missing(&scene, "nothing").await, [""; 0]);
}
