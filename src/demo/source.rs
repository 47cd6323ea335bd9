//! The throw-away database of the demo, with writers at work.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::writer::Writer;
use crate::{
    app::App,
    domain::{ids::RunId, resource::Resource},
    engine::postgresql::{endpoint::Endpoint, session::Session, tools::Tools},
    process::{Confinement, Launch},
    sandbox::Place,
    spec::drill::TlsMode,
};

const SCHEMA: &str = include_str!("schema.sql");
const ROWS: &str = include_str!("rows.sql");
const PORT: u16 = 5432;
const SUPERUSER: &str = "postgres";
/// What an event with its share of everything else takes.
const BYTES_PER_EVENT: u64 = 330;
const WRITERS: u32 = 2;
/// How often a server that is starting is asked.
const LOOK: Duration = Duration::from_millis(20);

/// A running source. [`remove`](Self::remove) ends it; if that does not come
/// to be, the sweeper finds it by its label.
pub(super) struct Source {
    run: RunId,
    resources: Vec<Resource>,
    directory: PathBuf,
    writers: Vec<Writer>,
}

impl Source {
    /// Makes the database and sets writers to work.
    pub(super) async fn start(app: &App, mebibytes: u32) -> anyhow::Result<Self> {
        let run = RunId::new(app.clock.now());
        let sandbox = app.sandbox(None);
        let made = sandbox.make(run, Place::Sandbox).await?;
        let directory = made.room.directory()?.to_owned();
        let mut source = Self {
            run,
            resources: made.resources,
            directory,
            writers: Vec::new(),
        };
        if let Err(error) = source.fill(app, mebibytes).await {
            source.remove(app).await?;
            return Err(error);
        }
        Ok(source)
    }

    async fn fill(&mut self, app: &App, mebibytes: u32) -> anyhow::Result<()> {
        self.launch(app).await?;
        let session = self.await_ready("postgres").await?;
        session
            .batch(
                "make the database",
                "CREATE DATABASE shop TEMPLATE template0",
            )
            .await?;
        let session = Session::open(&self.endpoint("shop"), self.run).await?;
        session
            .batch("make the schema", &format!("RESET search_path; {SCHEMA}"))
            .await?;
        let events = u64::from(mebibytes) * 1024 * 1024 / BYTES_PER_EVENT;
        let rows = ROWS.replace("$1", &events.to_string());
        session.batch("fill the tables", &rows).await?;
        for number in 0..WRITERS {
            let session = Session::open(&self.endpoint("shop"), self.run).await?;
            self.writers.push(Writer::start(session, number));
        }
        Ok(())
    }

    async fn launch(&self, app: &App) -> anyhow::Result<()> {
        let tools = Tools::find(&[]).await;
        let set = tools
            .all()
            .iter()
            .filter(|set| set.has_server())
            .max_by_key(|set| set.major)
            .context("no PostgreSQL server is installed; `make demo` installs one, or install the package `postgresql`")?;
        let launcher = app.launcher(self.run, false);
        let data = self.directory.join("data");
        let program = set.program("initdb");
        let make = Launch::new(&program)
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--username", SUPERUSER, "-D"])
            .arg(&data)
            .directory(&self.directory);
        launcher
            .run(make, &CancellationToken::new())
            .await?
            .success(&program)?;
        let serve = Launch::new(set.program("postgres"))
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "track_commit_timestamp=on",
                "-k",
            ])
            .arg(&self.directory)
            .directory(&data)
            .output_to(self.directory.join("log"))
            .confinement(Confinement::Open);
        launcher.start(serve)?.detach();
        Ok(())
    }

    async fn await_ready(&self, database: &str) -> anyhow::Result<Session> {
        let deadline = Duration::from_mins(1);
        let ready = async {
            loop {
                if let Ok(session) = Session::open(&self.endpoint(database), self.run).await {
                    return session;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(deadline, ready)
            .await
            .context("the demo's server did not start")
    }

    fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint {
            host: self.directory.display().to_string(),
            port: PORT,
            database: database.to_owned(),
            user: SUPERUSER.to_owned(),
            password: None,
            tls: TlsMode::Disable,
            root_certificates: None,
            read_only: false,
        }
    }

    /// The drill, as a user would write it.
    pub(super) fn drill(&self) -> String {
        format!(
            r#"apiVersion: lifeboat.dev/v1alpha1
kind: Drill
metadata: {{ name: demo }}
spec:
  workload:
    postgresql:
      connection: {{ host: "{}", port: {PORT}, database: shop, user: {SUPERUSER} }}
  recoveryPoint: {{ fresh: {{ jobs: 2, compression: none, backupInterval: 15m }} }}
  sandbox: {{ local: {{ restoreJobs: 2, verifyJobs: 2 }} }}
  objectives: {{ rto: 5m, rpo: 20m }}
  canary: {{ table: public.lifeboat_canary, interval: 50ms }}
  checks:
    integrity: full
    rowCounts: [ {{ table: shop.customers, min: 20000 }} ]
    queries: [ {{ name: newest audit, sql: "select max(at) from shop.audit", expect: "age < 1h" }} ]
"#,
            self.directory.display()
        )
    }

    /// How many transactions the writers have committed so far.
    ///
    /// # Errors
    /// If one of them has ended, or has written nothing.
    pub(super) async fn written(&mut self) -> anyhow::Result<u64> {
        let mut all = 0;
        for writer in &mut self.writers {
            all += writer.written().await?;
        }
        Ok(all)
    }

    /// Ends the writers and the server, and removes everything.
    pub(super) async fn remove(self, app: &App) -> anyhow::Result<()> {
        drop(self.writers);
        for resource in &self.resources {
            app.sandbox(None).release(self.run, resource).await?;
        }
        Ok(())
    }
}
