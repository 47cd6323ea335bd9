//! Dumps in a bucket: found and fetched by pods that may reach it and nothing
//! else. The copy, which is not trusted, never does.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};

use super::{
    RemoteEngine, access,
    objects::{AT_BUCKET, DUMP_CLAIM, DUMP_DIRECTORY},
    out_of_step,
    worker::WorkerPod,
};
use crate::{
    agent::protocol::{Done, Fetch, Outside, Work},
    domain::{
        failure::{Failure, FailureKind},
        record::Phase,
        recovery_point::{Artifact, RecoveryPoint},
        store::{S3Credentials, S3Place, SecretSource},
    },
    engine::Context,
    recovery::s3::{Access, Bucket},
    spec::drill::{Drill, RecoveryPointSource},
    trust,
    workload::rewrite::TASK,
};

const FIND: &str = "lifeboat-find";
const FETCH: &str = "lifeboat-fetch";

const ACCESS_KEY_ID: &str = "s3-access-key-id";
const SECRET_ACCESS_KEY: &str = "s3-secret-access-key";
const SESSION_TOKEN: &str = "s3-session-token";
const CERTIFICATES: &str = "s3-certificates";

impl RemoteEngine {
    /// Shows, before anything is in the ledger, that the place for a fresh
    /// dump can be given back.
    pub(super) async fn could_clear(&self, cx: &Context) -> Result<(), Failure> {
        let RecoveryPointSource::Fresh(fresh) = &self.drill.recovery_point else {
            return Ok(());
        };
        let Some(target) = &fresh.to else {
            return Ok(());
        };
        let access = self.access(&target.place).await?;
        let bucket = Bucket::open_as(&target.place, &access)?;
        let could = bucket.could_clear(&target.prefix, cx.run).await;
        could.map_err(|failure| match failure.kind {
            FailureKind::Unavailable => failure.hint(
                "not only pods, this process has to reach it, too, to remove what runs keep there",
            ),
            _ => failure,
        })
    }

    pub(super) async fn find_stored(
        &self,
        cx: &Context,
        namespace: &str,
    ) -> Result<RecoveryPoint, Failure> {
        let pod = (FIND, AT_BUCKET, [].as_slice());
        let work = |outside| Work::Find(Box::new(outside));
        match self.at_bucket(cx, namespace, pod, work).await? {
            Done::Find { point, fence } => {
                self.state.lock().await.fences.push(fence);
                Ok(*point)
            }
            other => Err(out_of_step(&other)),
        }
    }

    /// Brings the dump to a volume that the copy's agent reads it from.
    pub(super) async fn fetch_stored(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        namespace: &str,
    ) -> Result<RecoveryPoint, Failure> {
        let begun = cx.clock.monotonic();
        let claims = [(DUMP_CLAIM, DUMP_DIRECTORY)];
        let pod = (FETCH, AT_BUCKET, claims.as_slice());
        self.make_dump_claim(cx, &self.maker(cx).await?, namespace, pod)
            .await?;
        let work = |outside| {
            Work::Fetch(Box::new(Fetch {
                point: point.clone(),
                into: DUMP_DIRECTORY.into(),
                outside,
            }))
        };
        let done = self.at_bucket(cx, namespace, pod, work).await?;
        let Done::Fetch { fence } = done else {
            return Err(out_of_step(&done));
        };
        let elapsed = cx.clock.monotonic().saturating_sub(begun);
        let mut state = self.state.lock().await;
        state.fences.push(fence);
        state.fetched = Some(Phase {
            name: "fetching the dump".to_owned(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        let format = match &point.artifact {
            Artifact::StoredDump { format, .. } => format.clone(),
            _ => String::new(),
        };
        Ok(RecoveryPoint {
            artifact: Artifact::LogicalDump {
                path: DUMP_DIRECTORY.into(),
                format,
            },
            ..point.clone()
        })
    }

    /// Has a pod do some work there, which is told what the pod must not reach.
    async fn at_bucket(
        &self,
        cx: &Context,
        namespace: &str,
        pod: WorkerPod<'_>,
        work: impl FnOnce(Outside) -> Work,
    ) -> Result<Done, Failure> {
        let maker = self.maker(cx).await?;
        let open = self.open_way_to_bucket(&maker, namespace).await?;
        let work = work(self.outside_at_bucket(pod.0, open).await?);
        self.done_by(cx, &maker, namespace, pod, work).await
    }

    /// What a pod needs to ask there, as files of its task.
    pub(super) async fn bucket_files(
        &self,
        place: &S3Place,
    ) -> Result<BTreeMap<&'static str, ByteString>, Failure> {
        let access = self.access(place).await?;
        let text = |secret: &SecretString| ByteString(secret.expose_secret().as_bytes().to_vec());
        let mut files = BTreeMap::from([
            (ACCESS_KEY_ID, text(&access.access_key_id)),
            (SECRET_ACCESS_KEY, text(&access.secret_access_key)),
        ]);
        if let Some(token) = &access.session_token {
            files.insert(SESSION_TOKEN, text(token));
        }
        if place.is_encrypted() {
            // The engine's image may hold none.
            let certificates = trust::pem(place.ca_certificates.as_deref())?;
            files.insert(CERTIFICATES, ByteString(certificates.into_bytes()));
        }
        Ok(files)
    }

    async fn access(&self, place: &S3Place) -> Result<Access, Failure> {
        let cluster = self.cluster().await?;
        access::access(&cluster, &self.workload.namespace, place).await
    }
}

/// The bucket as it is reached from the pod that has these files.
pub(super) fn as_in_pod(drill: &mut Drill, files: &BTreeMap<&'static str, ByteString>) {
    let Some(place) = drill.bucket_mut() else {
        return;
    };
    let path = |name: &str| format!("{TASK}/{name}").into();
    let there = |name| files.contains_key(name).then(|| path(name));
    place.credentials = there(ACCESS_KEY_ID).map(|id| S3Credentials {
        access_key_id: SecretSource::File(id),
        secret_access_key: SecretSource::File(path(SECRET_ACCESS_KEY)),
        session_token: there(SESSION_TOKEN).map(SecretSource::File),
    });
    place.ca_certificates = there(CERTIFICATES);
}
