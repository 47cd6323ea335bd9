//! All checks of a restored copy.
//!
//! The inventory is taken and compared first, before anything is made in the
//! copy. Then comes the integrity check, largest indexes first. As soon as one of its
//! connections has nothing left to do, everything else runs beside the rest of
//! it: fingerprints can be divided and fill the gap.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    PostgresEngine,
    checks::{
        canary, environment, fingerprints, integrity, queries, reader::Reader, row_counts, schema,
        sequences, untested, views,
    },
    endpoint::ScratchCluster,
    fingerprint, inventory,
    restore::Work,
    session::Session,
};
use crate::{
    domain::{
        check::{CheckKind, CheckResult},
        event::EventKind,
        failure::Failure,
        inventory::Inventory,
        objective::{RpoBasis, millis},
        recovery_point::{Artifact, Ownership},
    },
    engine::{Context, Instance, NewestWrite, Verification, VerifyRequest},
    spec::drill::Integrity,
};

const OFF: &str = "switched off in the drill";
const NOT_AT_CUT: &str = "nobody reads a database at the very instant of a snapshot";

pub(super) async fn verify(
    engine: &PostgresEngine,
    cx: &Context,
    request: VerifyRequest<'_>,
    instance: &Instance,
) -> Result<Verification, Failure> {
    let cluster = ScratchCluster::of(instance)?;
    let session = Session::open(&cluster.endpoint(), cx.run).await?;
    // Where the copy's catalog cannot be read, the other checks still tell more.
    let inventory = match inventory::take(&session).await {
        Err(failure) if failure.kind.condemns_backup() => Err(failure),
        taken => Ok(taken?),
    };
    let verifier = Verifier {
        engine,
        cx,
        request,
        instance,
        cluster,
    };
    // Compared and given back before anything else takes memory: a schema can
    // be large.
    let schema = async {
        Ok(match &inventory {
            Ok(inventory) => verifier.schema(inventory),
            Err(failure) => schema::unreadable(failure),
        }
        .into())
    };
    let environment = async {
        Ok(match &inventory {
            Ok(inventory) => verifier.environment(inventory),
            Err(_) => untested("environment", CheckKind::Environment, UNREADABLE),
        }
        .into())
    };
    let definitions = [
        verifier.timed(schema).await?,
        verifier.timed(environment).await?,
    ];
    drop(inventory);
    Box::pin(verifier.all(&session, definitions)).await
}

/// Why nothing can be said of what surrounds the copy.
const UNREADABLE: &str = "the copy's catalog cannot be read";

/// What one check adds to the whole.
#[derive(Default)]
struct Part {
    check: Option<CheckResult>,
    canary: Option<crate::domain::canary::CanaryOutcome>,
    newest: Option<NewestWrite>,
}

impl From<CheckResult> for Part {
    fn from(check: CheckResult) -> Self {
        Self {
            check: Some(check),
            ..Self::default()
        }
    }
}

struct Verifier<'a> {
    engine: &'a PostgresEngine,
    cx: &'a Context,
    request: VerifyRequest<'a>,
    instance: &'a Instance,
    cluster: ScratchCluster,
}

impl Verifier<'_> {
    async fn all(
        &self,
        session: &Session,
        definitions: [Part; 2],
    ) -> Result<Verification, Failure> {
        let reader = self.reader(session).await?;
        let spare = CancellationToken::new();
        let busy = spare.clone().drop_guard();
        let others = async {
            spare.cancelled().await;
            tokio::try_join!(self.timed(self.fingerprints()), self.reading(&reader))
        };
        let integrity = self.timed(self.integrity(busy));
        let (integrity, (fingerprints, reading)) = tokio::try_join!(integrity, others)?;
        reader.remove(session).await?;
        let mut whole = Verification::default();
        let parts = [fingerprints].into_iter().chain(definitions);
        for part in parts.chain(reading).chain([integrity]) {
            whole.checks.extend(part.check);
            whole.canary = whole.canary.or(part.canary);
            whole.newest_writes.extend(part.newest);
        }
        if let Some(at) = self.newest_commit() {
            let basis = RpoBasis::Engine;
            whole.newest_writes.push(NewestWrite { basis, at });
        }
        whole.newest_writes.sort_by_key(|write| write.basis);
        Ok(whole)
    }

    /// Commit times do not come with a dump, so the cut's own is taken. Of
    /// volumes the copy's server could say, when it was first started.
    fn newest_commit(&self) -> Option<jiff::Timestamp> {
        if self.of_volumes() {
            let told = self.instance.endpoint.get("newest_commit")?.clone();
            return serde_json::from_value(told).ok()?;
        }
        self.request.point.cut.newest_commit
    }

    fn of_volumes(&self) -> bool {
        matches!(self.request.point.artifact, Artifact::Volumes { .. })
    }

    /// Everything that only reads and is small, a few at a time.
    async fn reading(&self, reader: &Reader) -> Result<Vec<Part>, Failure> {
        let mut work: Vec<BoxFuture<'_, Result<Part, Failure>>> = vec![
            Box::pin(self.timed(self.sequences())),
            Box::pin(self.timed(self.canary())),
        ];
        work.push(Box::pin(self.timed(self.views(reader))));
        let checks = &self.engine.checks;
        for wanted in &checks.row_counts {
            work.push(Box::pin(self.timed(async move {
                row_counts::check(reader, wanted).await.map(Part::from)
            })));
        }
        for query in &checks.queries {
            let declared = self.request.declared_at;
            work.push(Box::pin(self.timed(async move {
                queries::check(reader, query, declared)
                    .await
                    .map(Part::from)
            })));
        }
        if let Some(sql) = &checks.newest_write {
            work.push(Box::pin(self.timed(newest_write(reader, sql))));
        }
        stream::iter(work).buffered(self.jobs()).try_collect().await
    }

    /// Measures a check and tells of it when it is done.
    async fn timed(
        &self,
        check: impl Future<Output = Result<Part, Failure>>,
    ) -> Result<Part, Failure> {
        let begun = self.cx.clock.monotonic();
        let mut part = check.await?;
        let elapsed: Duration = self.cx.clock.monotonic().saturating_sub(begun);
        if let Some(check) = &mut part.check {
            check.elapsed_ms = millis(elapsed);
            let check = check.clone();
            self.cx.events.emit(EventKind::CheckDone { check });
        }
        Ok(part)
    }

    fn jobs(&self) -> usize {
        usize::from(self.engine.sandbox.verify_jobs).max(1)
    }

    /// The role for SQL that is the user's own, or that runs the user's code.
    async fn reader(&self, session: &Session) -> Result<Reader, Failure> {
        let endpoint = self.cluster.endpoint();
        Reader::make(session, &endpoint, self.search_path(), self.cx.run).await
    }

    /// The source database's own setting, which a dump does not bring along.
    fn search_path(&self) -> Option<String> {
        let source = self.request.point.inventory.as_ref()?;
        let (_, facets) = source.class("database").next()?;
        facets.get("setting search_path").map(str::to_owned)
    }

    /// Why there is no comparison with the source, where the drill does not
    /// ask for it: `found` for a backup that was found.
    fn why_not(&self, found: &'static str) -> &'static str {
        match self.request.point.ownership {
            _ if self.of_volumes() => NOT_AT_CUT,
            Ownership::Borrowed => found,
            Ownership::Ours => OFF,
        }
    }

    async fn fingerprints(&self) -> Result<Part, Failure> {
        let Some(equality) = self.engine.checks.fingerprints else {
            let reason = self.why_not(fingerprints::NONE);
            return Ok(untested("fingerprints", CheckKind::Fingerprints, reason).into());
        };
        let left_out = &self.engine.checks.exclude_tables;
        let mut exclude = left_out.clone();
        // It has an exact check of its own, and changes at the source.
        exclude.extend(
            self.request
                .point
                .canary
                .iter()
                .map(|log| log.table.clone()),
        );
        let options = fingerprint::Options {
            equality,
            exclude,
            jobs: self.jobs(),
            locate: false,
            like: None,
            only: None,
        };
        let source = self.request.point.fingerprint.as_ref();
        let endpoint = self.cluster.endpoint();
        let work = Work::of(self.engine, self.cx, self.request.point, self.instance)?;
        let check =
            fingerprints::check(self.cx, &endpoint, source, &options, left_out, &work).await?;
        Ok(check.into())
    }

    fn schema(&self, copy: &Inventory) -> CheckResult {
        if !self.engine.checks.schema {
            let reason = self.why_not(schema::NONE);
            return untested("schema", CheckKind::Schema, reason);
        }
        schema::check(self.request.point.inventory.as_ref(), copy)
    }

    fn environment(&self, copy: &Inventory) -> CheckResult {
        if !self.engine.checks.environment {
            return untested("environment", CheckKind::Environment, OFF);
        }
        environment::check(
            self.request.point.inventory.as_ref(),
            copy,
            &self.cluster.superuser,
            &self.request.point.artifact,
        )
    }

    async fn sequences(&self) -> Result<Part, Failure> {
        let session = Session::open(&self.cluster.endpoint(), self.cx.run).await?;
        let source = self.request.point.fingerprint.as_ref();
        Ok(sequences::check(&session, source).await?.into())
    }

    async fn views(&self, reader: &Reader) -> Result<Part, Failure> {
        // Without its password the source can't be asked, and that is told.
        // From beside a copy of volumes there is no way to it.
        let source = if self.of_volumes() {
            None
        } else {
            self.engine.source_endpoint().unwrap_or_default()
        };
        let check = views::check(self.cx, reader, source.as_ref(), self.jobs()).await?;
        Ok(check.into())
    }

    async fn canary(&self) -> Result<Part, Failure> {
        let Some(log) = &self.request.point.canary else {
            // Not asked for: then there is nothing to say, unless the drill
            // has one that this recovery point knows nothing of.
            let reason = "the recovery point has no log of canary writes";
            let check = self
                .engine
                .canary
                .as_ref()
                .map(|_| untested("canary", CheckKind::Canary, reason));
            return Ok(Part {
                check,
                ..Part::default()
            });
        };
        let session = Session::open(&self.cluster.endpoint(), self.cx.run).await?;
        let (check, outcome) = canary::check(&session, log).await?;
        let newest = outcome.as_ref().and_then(|outcome| outcome.newest);
        let basis = RpoBasis::Canary;
        Ok(Part {
            check: Some(check),
            newest: newest.map(|at| NewestWrite { basis, at }),
            canary: outcome,
        })
    }

    async fn integrity(&self, busy: DropGuard) -> Result<Part, Failure> {
        let depth: Integrity = self.engine.checks.integrity;
        let jobs = self.jobs();
        let check = integrity::check(self.cx, &self.cluster, depth, jobs, busy).await?;
        Ok(check.into())
    }
}

async fn newest_write(reader: &Reader, sql: &str) -> Result<Part, Failure> {
    let (check, at) = queries::newest_write(reader, sql).await?;
    let basis = RpoBasis::Query;
    Ok(Part {
        check: Some(check),
        newest: at.map(|at| NewestWrite { basis, at }),
        canary: None,
    })
}
