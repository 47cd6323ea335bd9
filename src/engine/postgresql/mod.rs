//! PostgreSQL, 13 to 18.

pub mod archive;
pub mod attach;
pub mod canary;
pub mod capture;
pub mod checks;
pub mod cluster;
pub mod endpoint;
pub mod error;
mod fetch;
pub mod fingerprint;
mod fit;
pub mod globals;
mod hold;
pub mod inventory;
pub mod preflight;
pub mod restore;
pub mod serve;
pub mod session;
pub mod source;
pub mod spoil;
mod tls;
pub mod tools;
pub mod verify;

use std::path::Path;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::endpoint::Endpoint;
use super::{
    Context, Copy, Fault, Held, Instance, LetGo, Restored, Source, Verification, VerifyRequest,
};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        record::{Profile, SourceFacts},
        recovery_point::{Artifact, RecoveryPoint},
    },
    process::Launcher,
    recovery::s3::Bucket,
    sandbox::Room,
    secret,
    spec::drill::{BackupPlace, Canary, Checks, FreshDump, LocalSandbox, PostgresqlWorkload},
};

/// The engine, made for one drill.
#[derive(Debug, Clone)]
pub struct PostgresEngine {
    pub workload: PostgresqlWorkload,
    /// `None` where an existing backup is drilled.
    pub fresh: Option<FreshDump>,
    /// The backup, where one that exists is drilled.
    pub existing: Option<BackupPlace>,
    pub canary: Option<Canary>,
    pub checks: Checks,
    pub sandbox: LocalSandbox,
    pub profile: Profile,
    pub launcher: Launcher,
    /// Where somebody else starts the copy's server; else it is started here.
    pub attached: Option<attach::Attached>,
}

impl PostgresEngine {
    /// The source, with its password read now; `None` where the drill names
    /// none.
    ///
    /// # Errors
    /// If the password can't be read.
    pub fn source_endpoint(&self) -> Result<Option<Endpoint>, Failure> {
        let Some(connection) = &self.workload.connection else {
            return Ok(None);
        };
        let password = connection.password.as_ref();
        let password = password.map(|source| secret::read("the password", source));
        let password = password.transpose()?;
        Ok(Some(Endpoint {
            host: connection.host.clone(),
            port: connection.port,
            database: connection.database.clone(),
            user: connection.user.clone(),
            password,
            tls: connection.tls,
            root_certificates: connection.root_certificates.clone(),
            read_only: true,
        }))
    }

    /// The directory of the source's socket, where it is reached by one.
    fn source_sockets(&self) -> Vec<std::path::PathBuf> {
        let host = self.workload.connection.as_ref().map(|to| to.host.as_str());
        host.filter(|host| host.starts_with('/'))
            .map(Into::into)
            .into_iter()
            .collect()
    }
}

#[async_trait]
impl Source for PostgresEngine {
    async fn preflight(&self, cx: &Context, scratch: &Path) -> Vec<Finding> {
        preflight::preflight(self, cx, scratch).await
    }

    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        // Before anything is in the ledger: a place that cannot be looked at
        // could not be shown to be empty afterwards.
        if let Some(target) = self.fresh.as_ref().and_then(|fresh| fresh.to.as_ref()) {
            let bucket = Bucket::open(&target.place).await?;
            bucket.could_clear(&target.prefix, cx.run).await?;
        }
        let facts = source::inspect(self, cx).await?;
        if let (Some(facts), Some(fresh)) = (&facts, &self.fresh) {
            fit::fresh(self, facts, fresh).await?;
        }
        Ok(facts)
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        Box::pin(capture::capture(self, cx, into.directory()?)).await
    }

    async fn hold(
        &self,
        cx: &Context,
        quiesce: bool,
        held: &(dyn Fn(Held) + Send + Sync),
        let_go: CancellationToken,
    ) -> Result<LetGo, Failure> {
        hold::hold(self, cx, quiesce, held, let_go).await
    }

    async fn find(&self, cx: &Context, _within: Option<&Room>) -> Result<RecoveryPoint, Failure> {
        match &self.existing {
            Some(BackupPlace::S3(backup)) => {
                let point = archive::find(cx, backup).await?;
                fit::existing(self, &point).await?;
                Ok(point)
            }
            _ => Err(Failure::new(
                FailureKind::Internal,
                "the drill names no backup in a bucket",
            )),
        }
    }

    async fn fetch(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        into: &Path,
    ) -> Result<RecoveryPoint, Failure> {
        fetch::fetch(self, cx, point, into).await
    }

    async fn identify(&self, cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        let point = archive::identify(cx, path).await?;
        fit::existing(self, &point).await?;
        Ok(point)
    }
}

#[async_trait]
impl Copy for PostgresEngine {
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        source: Option<&SourceFacts>,
        room: &Room,
    ) -> Result<Instance, Failure> {
        let dir = room.directory()?;
        match &self.attached {
            Some(attached) => attach::start(attached, cx, point, source, dir).await,
            None => cluster::start(self, cx, point, source, dir).await,
        }
    }

    async fn restore(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        instance: &Instance,
    ) -> Result<Restored, Failure> {
        if let Artifact::Volumes { .. } = &point.artifact {
            return attach::recovered(cx, instance).await;
        }
        let result = restore::restore(self, cx, point, instance).await;
        cluster::explained(instance, result).await
    }

    async fn serve(&self, cx: &Context, instance: &Instance) -> Result<(), Failure> {
        let result = serve::serve(self, cx, instance).await;
        cluster::explained(instance, result).await
    }

    async fn verify(
        &self,
        cx: &Context,
        request: VerifyRequest<'_>,
        instance: &Instance,
    ) -> Result<Verification, Failure> {
        let result = Box::pin(verify::verify(self, cx, request, instance)).await;
        cluster::explained(instance, result).await
    }

    async fn spoil(
        &self,
        cx: &Context,
        faults: &[Fault],
        instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        let result = spoil::spoil(self, cx, faults, instance).await;
        cluster::explained(instance, result).await
    }
}
