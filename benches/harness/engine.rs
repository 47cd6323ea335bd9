//! Lifeboat's PostgreSQL engine, called from here.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{event::EventKind, ids::RunId, recovery_point::RecoveryPoint},
    engine::{
        Context, Copy, EventSink, Instance, Source, VerifyRequest,
        postgresql::{PostgresEngine, endpoint::ScratchCluster},
    },
    process::{Launcher, account, label},
    sandbox::Room,
    spec::{
        self,
        drill::{RecoveryPointSource, Workload},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Server, server};

struct Silence;

impl EventSink for Silence {
    fn emit(&self, _event: EventKind) {}
}

/// A context of a new run.
pub fn context() -> Context {
    let clock = SystemClock::new();
    Context {
        run: RunId::new(clock.now()),
        clock: Arc::new(clock),
        events: Arc::new(Silence),
        cancel: CancellationToken::new(),
    }
}

/// The engine of a drill of `database`, whose further fields are `spec`.
pub fn engine(
    cx: &Context,
    server: &Server,
    database: &str,
    spec: &str,
) -> anyhow::Result<PostgresEngine> {
    let text = format!(
        "{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: bench}}, spec: {{\
         workload: {{postgresql: {{connection: {{host: {}, database: {database}, user: postgres}}}}}}, {spec}}}}}",
        server.host().display()
    );
    let drill = spec::parse(&text, Path::new("drill.yaml"))?;
    let (Workload::Postgresql(workload), RecoveryPointSource::Fresh(fresh)) =
        (drill.workload, drill.recovery_point)
    else {
        bail!("not a fresh drill of PostgreSQL");
    };
    Ok(PostgresEngine {
        workload,
        fresh: Some(fresh),
        existing: None,
        canary: None,
        checks: drill.checks,
        sandbox: drill.sandbox,
        profile: drill.profile,
        launcher: Launcher {
            run: cx.run,
            helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"))),
            account: account::unprivileged(None)?,
            allow_unfenced: false,
        },
        attached: None,
    })
}

/// A restored copy, served by a scratch cluster of its own.
pub struct Copied {
    cx: Context,
    point: RecoveryPoint,
    instance: Instance,
    pub cluster: ScratchCluster,
}

impl Copied {
    /// Captures `database` into `point`, and restores that in `dir`.
    pub async fn make(
        server: &Server,
        database: &str,
        point: &Path,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let cx = context();
        let spec = "recoveryPoint: {fresh: {compression: none}}, sandbox: {local: {}}";
        let engine = engine(&cx, server, database, spec)?;
        let source = engine.inspect(&cx).await?;
        let point = engine
            .capture(&cx, &Room::Directory(point.to_owned()))
            .await?;
        let instance = engine
            .start(
                &cx,
                &point,
                source.as_ref(),
                &Room::Directory(dir.to_owned()),
            )
            .await?;
        engine.restore(&cx, &point, &instance).await?;
        engine.serve(&cx, &instance).await?;
        let cluster = ScratchCluster::of(&instance)?;
        Ok(Self {
            cx,
            point,
            instance,
            cluster,
        })
    }

    /// The pid of its postmaster.
    pub fn postmaster(&self) -> i32 {
        server::postmaster(&self.cluster.data_directory)
    }

    /// A client program of it.
    pub fn client(&self, program: &str) -> std::process::Command {
        let ScratchCluster {
            socket_directory,
            superuser,
            database,
            ..
        } = &self.cluster;
        server::client(socket_directory, program, superuser, database)
    }

    /// Makes all checks of a drill with these fields, and wants them passed.
    pub async fn verify(&self, server: &Server, spec: &str) -> anyhow::Result<()> {
        let engine = engine(&self.cx, server, &self.cluster.database, spec)?;
        let request = VerifyRequest {
            point: &self.point,
            source: None,
            declared_at: self.cx.clock.now(),
        };
        let verified = engine.verify(&self.cx, request, &self.instance).await?;
        for check in verified.checks {
            use lifeboat::domain::check::Outcome;
            if check.outcome != Outcome::Pass {
                bail!(
                    "check {}: {:?}: {}",
                    check.name,
                    check.outcome,
                    check.summary
                );
            }
        }
        Ok(())
    }

    /// Ends the cluster.
    pub async fn end(&self) -> anyhow::Result<()> {
        label::end_all(self.cx.run, &self.instance.dir, Duration::from_secs(5)).await?;
        Ok(())
    }
}
