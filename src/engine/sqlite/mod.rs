//! SQLite, by the library that is built in: a drill needs nothing installed.

mod canary;
mod capture;
mod connection;
mod differ;
mod fingerprint;
mod header;
mod integrity;
mod inventory;
mod query;
mod restore;
mod source;
mod spoil;
mod verify;

use std::path::Path;

use async_trait::async_trait;

use super::{Context, Copy, Fault, Instance, Restored, Source, Verification, VerifyRequest};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        record::{Profile, SourceFacts},
        recovery_point::RecoveryPoint,
    },
    sandbox::Room,
    spec::drill::{BackupPlace, Canary, Checks, SqliteWorkload},
};

/// The engine, made for one drill.
#[derive(Debug, Clone)]
pub struct SqliteEngine {
    pub workload: SqliteWorkload,
    /// The backup, where one that exists is drilled.
    pub existing: Option<BackupPlace>,
    pub canary: Option<Canary>,
    pub checks: Checks,
    pub profile: Profile,
    /// Parallel connections of the checks.
    pub verify_jobs: u16,
}

/// Runs SQLite's blocking calls off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::new(FailureKind::Internal, error.to_string())))
}

#[async_trait]
impl Source for SqliteEngine {
    async fn preflight(&self, cx: &Context, scratch: &Path) -> Vec<Finding> {
        let (engine, cx, scratch) = (self.clone(), cx.clone(), scratch.to_owned());
        blocking(move || Ok(source::preflight(&engine, &cx, &scratch)))
            .await
            .unwrap_or_else(|failure| vec![Finding::error("sqlite", failure.message)])
    }

    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        let (engine, cx) = (self.clone(), cx.clone());
        blocking(move || source::inspect(&engine, &cx)).await
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        let (engine, cx, into) = (self.clone(), cx.clone(), into.directory()?.to_owned());
        blocking(move || capture::capture(&engine, &cx, &into)).await
    }

    async fn identify(&self, _cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        let path = path.to_owned();
        blocking(move || restore::identify(&path)).await
    }
}

#[async_trait]
impl Copy for SqliteEngine {
    async fn start(
        &self,
        cx: &Context,
        _point: &RecoveryPoint,
        _source: Option<&SourceFacts>,
        room: &Room,
    ) -> Result<Instance, Failure> {
        restore::start(cx, room.directory()?)
    }

    async fn restore(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        instance: &Instance,
    ) -> Result<Restored, Failure> {
        let (cx, point, instance) = (cx.clone(), point.clone(), instance.clone());
        blocking(move || restore::restore(&cx, &point, &instance)).await
    }

    async fn serve(&self, cx: &Context, instance: &Instance) -> Result<(), Failure> {
        let (cx, instance) = (cx.clone(), instance.clone());
        blocking(move || restore::serve(&cx, &instance)).await
    }

    async fn verify(
        &self,
        cx: &Context,
        request: VerifyRequest<'_>,
        instance: &Instance,
    ) -> Result<Verification, Failure> {
        let (engine, cx, instance) = (self.clone(), cx.clone(), instance.clone());
        let (point, declared_at) = (request.point.clone(), request.declared_at);
        blocking(move || verify::verify(&engine, &cx, (&point, declared_at), &instance)).await
    }

    async fn spoil(
        &self,
        cx: &Context,
        faults: &[Fault],
        instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        let (engine, cx) = (self.clone(), cx.clone());
        let (faults, instance) = (faults.to_vec(), instance.clone());
        blocking(move || spoil::spoil(&engine, &cx, &faults, &instance)).await
    }
}
