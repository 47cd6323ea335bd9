//! A fresh recovery point: parallel `pg_dump` with fingerprint and inventory
//! taken in the same snapshot.

mod connect;
mod diagnose;
mod dump;
mod exporter;
mod keep;

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path, time::Duration};

use self::{
    connect::PASSWORD_FILE,
    dump::Dump,
    exporter::{Exported, Exporter},
};
use super::{
    PostgresEngine,
    canary::Canary,
    endpoint::Endpoint,
    error::file_failure,
    fingerprint::{self, sequences},
    globals::{self, Globals},
    inventory,
    session::Session,
    tools::Tools,
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        fingerprint::Fingerprint,
        inventory::Inventory,
        recovery_point::{Artifact, Ownership, RecoveryPoint},
    },
    engine::Context,
    recovery::s3::Shelf,
    spec::drill::FreshDump,
};

pub(super) use self::{dump::compression_argument, exporter::newest_commit};

/// How often the dump is looked at.
const POLL: Duration = Duration::from_millis(200);

/// The dump's name in the directory that the run gives.
const DUMP: &str = "dump";

pub(super) async fn capture(
    engine: &PostgresEngine,
    cx: &Context,
    into: &Path,
) -> Result<RecoveryPoint, Failure> {
    // Whatever is under way ends when it is dropped: sessions close, the
    // writer stops, pg_dump and its workers are ended.
    tokio::select! {
        made = make(engine, cx, into) => made,
        () = cx.cancel.cancelled() => Err(Failure::new(
            FailureKind::Cancelled,
            "the capture was stopped on request",
        )),
    }
}

async fn make(
    engine: &PostgresEngine,
    cx: &Context,
    into: &Path,
) -> Result<RecoveryPoint, Failure> {
    let (Some(endpoint), Some(fresh)) = (engine.source_endpoint()?, engine.fresh.as_ref()) else {
        return Err(Failure::new(
            FailureKind::Invalid,
            "a fresh recovery point needs a connection to the source",
        ));
    };
    clear(into)?;
    let shelf = match &fresh.to {
        Some(target) => Some(keep::open(cx, target).await?),
        None => None,
    };
    let exporter = Exporter::open(cx, &endpoint).await?;
    let aside = Session::open(&endpoint, cx.run).await?;
    let canary = match &engine.canary {
        Some(canary) => Some(Canary::start(cx, &endpoint, canary).await?),
        None => None,
    };
    let newest_commit = exporter::newest_commit(&aside).await;
    let mut at_cut = match &canary {
        Some(canary) => canary.cut(exporter.export()).await?,
        None => exporter.export().await?,
    };
    at_cut.cut.newest_commit = newest_commit;
    let excluded = canary.as_ref().map(|canary| canary.table().to_owned());
    let capture = Capture {
        engine,
        cx,
        endpoint: &endpoint,
        exported: &at_cut,
        into,
        canary_table: excluded,
        shelf: shelf.as_ref(),
    };
    let taken = tokio::select! {
        taken = capture.take(fresh, &exporter, &aside) => taken,
        lost = exporter.lost() => Err(lost),
    };
    let taken = match taken {
        Ok(taken) => taken,
        Err(failure) => return Err(exporter.explain(failure).await),
    };
    let mut point = capture.recovery_point(fresh, taken);
    if let Some(canary) = canary {
        point.canary = Some(canary.finish().await);
    }
    if let (Some(shelf), Some(target)) = (&shelf, &fresh.to) {
        keep::close(shelf, target, &mut point, into).await?;
    }
    Ok(point)
}

/// Takes away what an earlier attempt at this step left.
fn clear(into: &Path) -> Result<(), Failure> {
    let gone = |path: &Path, removed: std::io::Result<()>| match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(file_failure(&error, "remove", path))
        }
        _ => Ok(()),
    };
    for name in [globals::FILE_NAME, PASSWORD_FILE] {
        let path = into.join(name);
        gone(&path, fs::remove_file(&path))?;
    }
    let dump = into.join(DUMP);
    gone(&dump, fs::remove_dir_all(&dump))
}

/// A capture after its cut.
struct Capture<'a> {
    engine: &'a PostgresEngine,
    cx: &'a Context,
    endpoint: &'a Endpoint,
    exported: &'a Exported,
    into: &'a Path,
    canary_table: Option<String>,
    shelf: Option<&'a Shelf>,
}

/// What the snapshot gave.
struct Taken {
    dump: dump::Made,
    format: &'static str,
    fingerprint: Option<Fingerprint>,
    inventory: Option<Inventory>,
}

impl Capture<'_> {
    /// Dump, fingerprint and inventory side by side, all of one snapshot.
    async fn take(
        &self,
        fresh: &FreshDump,
        exporter: &Exporter,
        aside: &Session,
    ) -> Result<Taken, Failure> {
        let before = sequences::positions(&exporter.session).await?;
        exporter::import(aside, &self.exported.id).await?;
        let tools = Tools::find(&self.engine.workload.tools).await;
        let dump = Dump {
            tools: tools.dump_for(self.exported.version_num)?,
            launcher: &self.engine.launcher,
            endpoint: self.endpoint,
            exported: self.exported,
            fresh,
            into: self.into,
            shelf: self.shelf,
        };
        let format = match (self.shelf, dump.in_parallel()) {
            (Some(_), false) => "custom",
            _ => "directory",
        };
        let (dump, mut fingerprint, inventory) =
            tokio::try_join!(dump.make(self.cx), self.fingerprint(), self.catalogs(aside),)?;
        if let Some(fingerprint) = &mut fingerprint {
            let after = sequences::positions(&exporter.session).await?;
            sequences::widen(fingerprint, &before);
            sequences::widen(fingerprint, &after);
        }
        Ok(Taken {
            dump,
            format,
            fingerprint,
            inventory,
        })
    }

    async fn fingerprint(&self) -> Result<Option<Fingerprint>, Failure> {
        let checks = &self.engine.checks;
        let Some(equality) = checks.fingerprints else {
            return Ok(None);
        };
        let mut exclude = checks.exclude_tables.clone();
        exclude.extend(self.canary_table.clone());
        let options = fingerprint::Options {
            equality,
            exclude,
            jobs: usize::from(self.engine.sandbox.verify_jobs.max(1)),
            locate: true,
            like: None,
            only: None,
        };
        let snapshot = Some(self.exported.id.as_str());
        fingerprint::take(self.cx, self.endpoint, snapshot, &options)
            .await
            .map(Some)
    }

    async fn catalogs(&self, session: &Session) -> Result<Option<Inventory>, Failure> {
        Globals::collect(session).await?.write(self.into)?;
        let checks = &self.engine.checks;
        if !(checks.schema || checks.environment) {
            return Ok(None);
        }
        inventory::take(session).await.map(Some)
    }

    fn recovery_point(&self, fresh: &FreshDump, taken: Taken) -> RecoveryPoint {
        let exported = self.exported;
        let details = BTreeMap::from([
            ("snapshot".to_owned(), exported.transactions.clone()),
            ("version_num".to_owned(), exported.version_num.to_string()),
            ("in_recovery".to_owned(), exported.standby.to_string()),
            ("jobs".to_owned(), fresh.jobs.to_string()),
            ("compression".to_owned(), taken.dump.compression),
        ]);
        RecoveryPoint {
            artifact: Artifact::LogicalDump {
                path: self.into.join(DUMP),
                format: taken.format.to_owned(),
            },
            ownership: Ownership::Ours,
            cut: exported.cut.clone(),
            size_bytes: taken.dump.size_bytes,
            producer: Some(taken.dump.producer),
            source_version: Some(exported.version.clone()),
            fingerprint: taken.fingerprint,
            inventory: taken.inventory,
            canary: None,
            details,
        }
    }
}
