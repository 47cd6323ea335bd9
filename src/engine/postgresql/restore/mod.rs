//! Loading a dump into the scratch cluster.

mod classify;
mod plain;

use super::{
    PostgresEngine, archive,
    cluster::{self, Started},
    globals::Globals,
    session::Session,
};
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding, Outcome, Severity},
        failure::{Failure, FailureKind},
        record::{Fence, RestoreFacts},
        recovery_point::{Artifact, Ownership, RecoveryPoint},
        timeline::Milestone,
    },
    engine::{Context, Instance, Restored},
    process::{Launch, Launcher},
};

pub(super) async fn restore(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    instance: &Instance,
) -> Result<Restored, Failure> {
    let started = Started::of(instance)?;
    let Artifact::LogicalDump { path, format } = &point.artifact else {
        return Err(Failure::new(
            FailureKind::Invalid,
            "only dumps can be loaded",
        ));
    };
    let restore = Restore {
        engine,
        cx,
        point,
        started,
    };
    let begun = cx.clock.monotonic();
    let mut findings = restore.globals().await?;
    restore.database().await?;
    findings.extend(if format.starts_with("plain") {
        plain::load(&restore, path).await?
    } else {
        restore.load_archive(path).await?
    });
    restore.analyze().await?;
    cx.reached(Milestone::DataRestored);
    let elapsed = cx.clock.monotonic().saturating_sub(begun);
    let check = load_check(engine, findings, elapsed);
    Ok(Restored {
        facts: restore.facts().await?,
        checks: vec![check],
    })
}

/// One restore on its way.
pub(super) struct Restore<'a> {
    pub(super) engine: &'a PostgresEngine,
    pub(super) cx: &'a Context,
    point: &'a RecoveryPoint,
    pub(super) started: Started,
}

impl Restore<'_> {
    /// Makes the roles; what goes wrong is told and does not end the restore.
    async fn globals(&self) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let Some(globals) = self.own_globals()? else {
            return Ok(findings);
        };
        let session = self.admin().await?;
        for statement in globals.statements() {
            if let Err(failure) = session.batch("make the roles", &statement).await {
                findings.push(Finding::error("roles", failure.message));
            }
        }
        Ok(findings)
    }

    fn own_globals(&self) -> Result<Option<Globals>, Failure> {
        if self.point.ownership == Ownership::Ours {
            return Globals::beside(self.point.artifact.path());
        }
        if let Some(path) = &self.engine.globals {
            self.cx.note(format!(
                "{} is not loaded: roles of an existing backup are untested",
                path.display()
            ));
        }
        Ok(None)
    }

    /// Makes the empty database, anew where the step is repeated.
    async fn database(&self) -> Result<(), Failure> {
        let name = &self.started.cluster.database;
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let session = self.admin().await?;
        let doing = "make the database";
        if name != "postgres" {
            session
                .batch(doing, &format!("DROP DATABASE IF EXISTS {quoted}"))
                .await?;
            let sql = format!(
                "CREATE DATABASE {quoted} TEMPLATE template0{}",
                self.locale()
            );
            session.batch(doing, &sql).await?;
        }
        if let Some(globals) = self.own_globals()? {
            for statement in globals.database_statements(name) {
                session.batch(doing, &statement).await?;
            }
        }
        Ok(())
    }

    /// The source's encoding and locale, where they are known.
    fn locale(&self) -> String {
        let known = |key: &str| {
            let value = self.started.locale.get(key)?;
            Some(format!("'{}'", value.replace('\'', "''")))
        };
        let mut text = String::new();
        for (key, option) in [
            ("encoding", "ENCODING"),
            ("collate", "LC_COLLATE"),
            ("ctype", "LC_CTYPE"),
        ] {
            if let Some(value) = known(key) {
                text = format!("{text} {option} {value}");
            }
        }
        text
    }

    async fn load_archive(&self, path: &std::path::Path) -> Result<Vec<Finding>, Failure> {
        let cluster = &self.started.cluster;
        let program = cluster.bin_directory.join("pg_restore");
        let launch = Launch::new(&program)
            .args(["--no-password", "--no-tablespaces", "--jobs"])
            .arg(self.engine.sandbox.restore_jobs.max(1).to_string())
            .args(self.connection())
            // A name with `=` in it would be taken for a connection string.
            .arg(format!("--dbname=dbname='{}'", escaped(&cluster.database)))
            .arg(path)
            .directory("/");
        let finished = self.clients().run(launch, &self.cx.cancel).await?;
        classify::archive(&finished, &self.started.log)
    }

    /// A restored database without statistics is not one that serves.
    async fn analyze(&self) -> Result<(), Failure> {
        let path = self.point.artifact.path();
        if let Artifact::LogicalDump { format, .. } = &self.point.artifact
            && let Some(header) = archive::contents(path, format).await?
            && header.brings_statistics()
        {
            return Ok(());
        }
        let cluster = &self.started.cluster;
        let program = cluster.bin_directory.join("vacuumdb");
        let launch = Launch::new(&program)
            .args(["--no-password", "--analyze-only", "--quiet", "--jobs"])
            .arg(self.engine.sandbox.restore_jobs.max(1).to_string())
            .args(self.connection())
            .arg(format!("--dbname=dbname='{}'", escaped(&cluster.database)))
            .directory("/");
        let finished = self.clients().run(launch, &self.cx.cancel).await?;
        finished.success(&program).map(drop)
    }

    pub(super) fn connection(&self) -> Vec<String> {
        let cluster = &self.started.cluster;
        vec![
            format!("--host={}", cluster.socket_directory.display()),
            format!("--port={}", cluster.port),
            format!("--username={}", cluster.superuser),
        ]
    }

    /// A borrowed backup may be readable for Lifeboat's own user alone.
    pub(super) fn clients(&self) -> Launcher {
        let mut launcher = self.engine.launcher.clone();
        if self.point.ownership == Ownership::Borrowed {
            launcher.account = None;
        }
        launcher
    }

    async fn admin(&self) -> Result<Session, Failure> {
        let directory = &self.started.cluster.socket_directory;
        Session::open(&cluster::admin(directory), self.cx.run).await
    }

    async fn facts(&self) -> Result<RestoreFacts, Failure> {
        let session = Session::open(&self.started.cluster.endpoint(), self.cx.run).await?;
        let sql = "select current_setting('server_version'), \
                   pg_database_size(current_database())";
        let row = session.row("measure the copy", sql, &[]).await?;
        let fence: Option<Fence> = std::fs::read_to_string(&self.started.fence)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        Ok(RestoreFacts {
            engine_version: row.get(0),
            fence: fence.unwrap_or_else(|| Fence {
                notes: vec!["no fence was put up".to_owned()],
                ..Fence::default()
            }),
            settings: self.started.settings.clone(),
            settings_changed: self.started.settings_changed.clone(),
            size_bytes: row.get::<_, i64>(1).unsigned_abs(),
            critical_path: Vec::new(),
        })
    }
}

/// A value within single quotes of a connection string.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

fn load_check(
    engine: &PostgresEngine,
    mut findings: Vec<Finding>,
    elapsed: std::time::Duration,
) -> CheckResult {
    for finding in &mut findings {
        let text = format!("{}: {}", finding.subject, finding.message);
        if engine
            .checks
            .tolerate
            .iter()
            .any(|fragment| text.contains(fragment))
        {
            finding.severity = Severity::Warning;
        }
    }
    findings.sort_by_key(|finding| finding.severity);
    let errors = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    CheckResult {
        name: "load".to_owned(),
        kind: CheckKind::Load,
        outcome: if errors == 0 {
            Outcome::Pass
        } else {
            Outcome::Fail
        },
        summary: match (errors, findings.len()) {
            (0, 0) => "everything in the backup was loaded".to_owned(),
            (0, tolerated) => format!("{tolerated} errors, all tolerated by the drill"),
            (errors, _) => format!("{errors} errors while loading"),
        },
        findings,
        elapsed_ms: crate::domain::objective::millis(elapsed),
    }
}
