//! Who asks at a bucket, for drills in a cluster: Secrets in the workload's
//! namespace, or what this machine knows.

use k8s_openapi::ByteString;
use kube::ResourceExt;
use secrecy::SecretString;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
        resource::FromCluster,
        store::{S3Credentials, S3Place, SecretSource},
    },
    k8s::{Cluster, Clusters, Kind, Object},
    recovery::s3::{self, Access, Bucket},
    secret,
};

/// Reads the credentials.
///
/// # Errors
/// With what is missing.
pub(super) async fn access(
    cluster: &Cluster,
    namespace: &str,
    place: &S3Place,
) -> Result<Access, Failure> {
    let Some(given) = &place.credentials else {
        return s3::access(place).await;
    };
    let S3Credentials {
        access_key_id,
        secret_access_key,
        session_token,
    } = given;
    let read = |name, source| read(cluster, namespace, name, source);
    Ok(Access {
        access_key_id: read("the access key id", access_key_id).await?,
        secret_access_key: read("the secret access key", secret_access_key).await?,
        session_token: match session_token {
            Some(source) => Some(read("the session token", source).await?),
            None => None,
        },
    })
}

/// Empties what a run keeps in a bucket. Only names go this way, never data.
///
/// # Errors
/// With what kept it from being emptied.
pub async fn clear(
    clusters: &Clusters,
    from: &FromCluster,
    (place, prefix): (&S3Place, &str),
    run: RunId,
) -> Result<(), Failure> {
    let cluster = clusters.get(&from.cluster).await?;
    let access = access(&cluster, &from.namespace, place).await?;
    Bucket::open_as(place, &access)?.clear(prefix, run).await
}

/// The newest backup that a key in a bucket means.
///
/// # Errors
/// `NotFound` where there is none, and what kept it from being seen.
pub async fn newest(
    clusters: &Clusters,
    from: &FromCluster,
    (place, key): (&S3Place, &str),
) -> Result<s3::Object, Failure> {
    let cluster = clusters.get(&from.cluster).await?;
    let access = access(&cluster, &from.namespace, place).await?;
    Bucket::open_as(place, &access)?.newest(key).await
}

async fn read(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    source: &SecretSource,
) -> Result<SecretString, Failure> {
    let SecretSource::Kubernetes { name: secret, key } = source else {
        return secret::read(name, source);
    };
    let secret = cluster.need(Kind::Secret, Some(namespace), secret).await?;
    let value = of_secret(&secret, key)?;
    String::from_utf8(value.0).map(Into::into).map_err(|_| {
        let message = format!("cannot read {name}: it is no text");
        Failure::new(FailureKind::Invalid, message)
    })
}

/// A value of a Secret of the cluster.
pub(super) fn of_secret(secret: &Object, key: &str) -> Result<ByteString, Failure> {
    let value = secret.data["data"].get(key).cloned();
    let value = value.and_then(|value| serde_json::from_value(value).ok());
    value.ok_or_else(|| {
        let what = Kind::Secret.named(secret.namespace().as_deref(), &secret.name_any());
        Failure::new(FailureKind::NotFound, format!("{what} has no key {key}"))
    })
}
