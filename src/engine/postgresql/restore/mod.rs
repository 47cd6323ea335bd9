//! Loading a dump into the scratch cluster.

mod archived;
mod database;
mod errors;
mod late;
mod roles;
mod said;
mod script;
mod split;
pub(super) mod table;
mod timing;

use std::borrow::Cow;

use self::errors::{LoadError, Problem};
use super::{
    PostgresEngine, archive,
    cluster::{self, Layout},
    endpoint::ScratchCluster,
    fetch,
    session::Session,
};
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding, Outcome, Severity},
        failure::{Failure, FailureKind},
        inventory::Inventory,
        objective::millis,
        record::{Phase, RestoreFacts},
        recovery_point::{Artifact, Ownership, RecoveryPoint},
        timeline::Milestone,
    },
    engine::{Context, Instance, Restored},
    process::{Confinement, Launch, Launcher, killed},
};

/// Overrides settings of the restored database that would stop the load.
pub(super) const CLIENT_OPTIONS: &str = "-c default_transaction_read_only=off -c lc_messages=C";

/// What loading met, and how many errors there were in all.
#[derive(Debug, Clone, Default, PartialEq)]
struct Loaded {
    errors: Vec<LoadError>,
    /// At least as many as are in `errors`.
    total: usize,
    /// What took longest, as far as that can be told.
    phases: Vec<Phase>,
}

/// What every part of the restore works with.
pub(super) struct Work<'a> {
    engine: &'a PostgresEngine,
    cx: &'a Context,
    /// Where it lies in the sandbox.
    point: Cow<'a, RecoveryPoint>,
    cluster: ScratchCluster,
    layout: Layout,
}

pub(super) async fn restore(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    instance: &Instance,
) -> Result<Restored, Failure> {
    let fetched = fetch(engine, cx, point, instance).await?;
    let begun = cx.clock.monotonic();
    let work = Work::of(engine, cx, point, instance)?;
    let Artifact::LogicalDump { path, format } = &work.point.artifact else {
        return Err(Failure::new(
            FailureKind::Invalid,
            "a physical backup cannot be loaded as a dump",
        ));
    };
    let header = archive::contents(path, format).await?;
    let mut findings = work.prepare(header.as_ref()).await?;
    findings.extend(work.lacking(header.as_ref()));
    let mut loaded = match &header {
        Some(header) => archived::load(&work, (path, format), header).await?,
        None => script::load(&work, path).await?,
    };
    findings.extend(errors::findings(&loaded, &engine.checks.tolerate));
    let load_ended = cx.clock.monotonic();
    if loaded.phases.is_empty() {
        loaded.phases.push(Phase {
            name: "load".to_owned(),
            elapsed_ms: millis(load_ended.saturating_sub(begun)),
        });
    }
    findings.extend(work.analyze().await?);
    cx.reached(Milestone::DataRestored);
    let ended = cx.clock.monotonic();
    loaded.phases.push(Phase {
        name: "planner statistics".to_owned(),
        elapsed_ms: millis(ended.saturating_sub(load_ended)),
    });
    loaded.phases.extend(fetched);
    loaded
        .phases
        .sort_by_key(|phase| std::cmp::Reverse(phase.elapsed_ms));
    Ok(Restored {
        checks: vec![check(findings, millis(ended.saturating_sub(begun)))],
        facts: work.facts(instance, loaded.phases).await?,
    })
}

/// Brings the dump into the sandbox, if it lies in a bucket: that is a part of
/// the recovery like any other.
async fn fetch(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    instance: &Instance,
) -> Result<Option<Phase>, Failure> {
    if !matches!(point.artifact, Artifact::StoredDump { .. }) {
        return Ok(None);
    }
    let begun = cx.clock.monotonic();
    fetch::fetch(engine, cx, point, &Layout::of(&instance.dir).fetched).await?;
    let elapsed = cx.clock.monotonic().saturating_sub(begun);
    Ok(Some(Phase {
        name: "fetch".to_owned(),
        elapsed_ms: millis(elapsed),
    }))
}

impl<'a> Work<'a> {
    /// # Errors
    /// If the instance is of another engine.
    pub(super) fn of(
        engine: &'a PostgresEngine,
        cx: &'a Context,
        point: &'a RecoveryPoint,
        instance: &Instance,
    ) -> Result<Self, Failure> {
        let layout = Layout::of(&instance.dir);
        Ok(Self {
            engine,
            cx,
            point: fetch::at_hand(point, &layout.fetched),
            cluster: ScratchCluster::of(instance)?,
            layout,
        })
    }

    /// The source's schema, where it is known.
    pub(super) fn inventory(&self) -> Option<&Inventory> {
        self.point.inventory.as_ref()
    }

    /// Roles, then the empty database.
    async fn prepare(
        &self,
        header: Option<&archive::header::Header>,
    ) -> Result<Vec<Finding>, Failure> {
        let maintenance = cluster::maintenance(&self.cluster);
        let session = Session::open(&maintenance.endpoint(), self.cx.run).await?;
        let mut findings = roles::make(self, &session).await?;
        database::create(self, &session, header).await?;
        findings.extend(roles::settings(self, &session).await?);
        Ok(findings)
    }

    /// What a backup that was found holds less than it should. Of our own it is
    /// known what it has to hold.
    fn lacking(&self, header: Option<&archive::header::Header>) -> Vec<Finding> {
        if self.point.ownership == Ownership::Ours {
            return Vec::new();
        }
        let mut findings = header.map(archive::lacking::rows).unwrap_or_default();
        for finding in &mut findings {
            let tolerate = &self.engine.checks.tolerate;
            if errors::is_tolerated(&finding.subject, &finding.message, tolerate) {
                finding.severity = Severity::Warning;
            }
        }
        findings
    }

    /// A client program of `directory`, fenced: a dump is code.
    fn client(&self, program: std::path::PathBuf) -> Launch {
        Launch::new(program)
            .env("PGOPTIONS", CLIENT_OPTIONS)
            .env("PGHOST", self.cluster.socket_directory.as_os_str())
            .env("PGPORT", self.cluster.port.to_string())
            .env("PGUSER", &self.cluster.superuser)
            .env("PGAPPNAME", format!("lifeboat {}", self.cx.run))
            .directory(&self.layout.root)
            .hidden(self.engine.source_sockets())
            .confinement(Confinement::Fenced {
                writable: vec![self.layout.root.clone()],
                executable: Vec::new(),
            })
    }

    /// A borrowed backup may be readable to Lifeboat's own user alone; the
    /// fence holds for that one too.
    fn launcher(&self) -> Launcher {
        let mut launcher = self.engine.launcher.clone();
        if self.point.ownership == Ownership::Borrowed {
            launcher.account = None;
        }
        launcher
    }

    /// Planner statistics: without them the copy is not fit to serve.
    async fn analyze(&self) -> Result<Option<Finding>, Failure> {
        let program = self.cluster.bin_directory.join("vacuumdb");
        let launch = self
            .client(program)
            .args(["--analyze-only", "--no-password", "--quiet", "--jobs"])
            .arg(self.engine.sandbox.restore_jobs.max(1).to_string())
            // The environment keeps a name with `=` from being read as a
            // connection string.
            .env("PGDATABASE", &self.cluster.database);
        let finished = self.launcher().run(launch, &self.cx.cancel).await?;
        if finished.status.success() {
            return Ok(None);
        }
        if let Some(failure) = killed("vacuumdb", finished.status) {
            return Err(failure);
        }
        let error = finished.stderr.iter().find(|line| line.contains("error:"));
        let message = error.map_or_else(
            || format!("vacuumdb ended with {}", finished.status),
            |line| errors::redacted(line),
        );
        if let Some(failure) = Problem::of(&message).failure(&message) {
            return Err(failure.diagnosis(self.layout.log_tail()));
        }
        Ok(Some(Finding::error("statistics", message)))
    }

    async fn facts(
        &self,
        instance: &Instance,
        critical_path: Vec<Phase>,
    ) -> Result<RestoreFacts, Failure> {
        let session = Session::open(&self.cluster.endpoint(), self.cx.run).await?;
        let query = "select split_part(current_setting('server_version'), ' ', 1), \
                     pg_database_size(current_database())";
        let row = session.row("look at the copy", query, &[]).await?;
        Ok(RestoreFacts {
            engine_version: row.get(0),
            fence: told(instance, "fence"),
            settings: cluster::settings::in_force(&session).await?,
            settings_changed: told(instance, "settings_changed"),
            size_bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
            critical_path,
        })
    }
}

/// What the start of the instance has told.
fn told<T: serde::de::DeserializeOwned + Default>(instance: &Instance, what: &str) -> T {
    let told = instance.endpoint.get(what).cloned();
    told.and_then(|told| serde_json::from_value(told).ok())
        .unwrap_or_default()
}

fn check(mut findings: Vec<Finding>, elapsed_ms: u64) -> CheckResult {
    findings.sort_by_key(|finding| finding.severity);
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (outcome, summary) = match (errors, warnings) {
        (0, 0) => (Outcome::Pass, "everything loaded without error".to_owned()),
        (0, some) => (
            Outcome::Pass,
            format!("everything loaded, with {some} warnings"),
        ),
        (some, _) => (Outcome::Fail, format!("{some} errors while loading")),
    };
    CheckResult {
        name: "load".to_owned(),
        kind: CheckKind::Load,
        outcome,
        summary,
        findings,
        elapsed_ms,
    }
}
