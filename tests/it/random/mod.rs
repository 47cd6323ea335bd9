//! Random schemas with data: a drill of one never raises a false alarm, and any
//! one change of the copy is found.

mod exotic;
mod mutation;
mod names;
mod objects;
mod rights;
mod schema;
mod values;
mod whole;

use std::path::{Path, PathBuf};

use fastrand::Rng;
use lifeboat::{
    domain::{record::RunRecord, recovery_point::RecoveryPoint, verdict::Verdict},
    engine::{
        Restored, Source,
        postgresql::{endpoint::ScratchCluster, session::Session},
    },
    sandbox::Room,
    spec::drill::Drill,
};

use crate::support::{
    postgres::{BINARIES, Server},
    stage::{
        self, Copying, Rehearsal, ScratchServer, context, engine, errors, fresh_drill, place,
        unfence,
    },
};

/// How many drills run side by side, each on a scratch server of its own.
const WORKERS: u64 = 2;

/// The source of all random databases.
fn source() -> Server {
    let server = Server::start(Path::new(BINARIES), &[]);
    for role in schema::ROLES.iter().chain(&["rnd_other"]) {
        server.psql("postgres", &format!("CREATE ROLE {}", names::quoted(role)));
    }
    server.psql(
        "postgres",
        "GRANT rnd_group TO \"rnd reader\" WITH ADMIN OPTION",
    );
    server
}

/// What came of many drills.
#[derive(Debug, Default)]
struct Tally {
    clean: u32,
    mutated: u32,
    made: u32,
    refused: u32,
    wrong: Vec<String>,
}

struct Worker<'a> {
    source: &'a Server,
    scratch: Option<ScratchServer>,
    tally: Tally,
}

impl<'a> Worker<'a> {
    fn new(source: &'a Server) -> Self {
        Self {
            source,
            scratch: None,
            tally: Tally::default(),
        }
    }

    /// A clean drill of the schema of a seed, then one of its spoilt copy.
    async fn drill(&mut self, seed: u64) {
        let database = self.database(seed);
        self.fill(&database, seed).await;
        let drill = fresh_drill(self.source, &database);
        let folder = place();
        let point = capture(&drill, folder.path()).await;
        if self.scratch.is_none() {
            self.scratch = Some(ScratchServer::start(&drill, &point).await);
        }
        let cluster = self.scratch.as_ref().unwrap().database(&database);
        let copying = Copying::Shared(cluster.clone());
        let record = rehearse(&drill, &point, copying).await;
        self.tally.clean += 1;
        if record.verdict == Some(Verdict::Passed) && errors(&record).is_empty() {
            self.spoil(seed, &drill, &point, &cluster, record).await;
        } else {
            let text = format!(
                "seed {seed}: false alarm: {:?}{}",
                record.verdict,
                listed(&record)
            );
            stage::tell(&text);
            self.tally.wrong.push(text);
        }
        self.drop(&cluster, &database).await;
    }

    async fn spoil(
        &mut self,
        seed: u64,
        drill: &Drill,
        point: &RecoveryPoint,
        cluster: &ScratchCluster,
        clean: RunRecord,
    ) {
        let session = open(cluster).await;
        let mutation = mutation::one(&session, &mut Rng::with_seed(seed)).await;
        drop(session);
        let restored = Restored {
            facts: clean.restore.unwrap(),
            checks: clean.checks.into_iter().take(1).collect(),
        };
        let copying = Copying::Loaded(cluster.clone(), Box::new(restored));
        let record = rehearse(drill, point, copying).await;
        self.tally.mutated += 1;
        // Where the catalog cannot be read any more, the server does not say what
        // of it.
        let unreadable = |error: &String| {
            mutation.sql.starts_with("DELETE FROM pg_enum")
                && error.contains("invalid internal value for enum")
        };
        let named = errors(&record)
            .iter()
            .any(|error| error.contains(&mutation.named) || unreadable(error));
        if record.verdict != Some(Verdict::Failed) || !named {
            let text = format!(
                "seed {seed}: {:?}, and {} not named, after {}{}",
                record.verdict,
                mutation.named,
                mutation.sql,
                listed(&record)
            );
            stage::tell(&text);
            self.tally.wrong.push(text);
        }
    }

    /// With an encoding and a locale that go by the seed.
    fn database(&self, seed: u64) -> String {
        let options = match seed % 10 {
            0 => "ENCODING LATIN1 LOCALE 'C'",
            1 => "ENCODING SQL_ASCII LOCALE 'C'",
            2 => "LOCALE_PROVIDER icu ICU_LOCALE 'de'",
            3 => "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'",
            _ => "",
        };
        let name = format!("random_{seed}");
        let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE template0 {options}");
        self.source.psql("postgres", &sql);
        name
    }

    async fn fill(&mut self, database: &str, seed: u64) {
        let run = stage::new_run();
        let session = Session::open(&self.source.endpoint(database), run)
            .await
            .unwrap();
        session
            .batch("prepare", "SET check_function_bodies = off")
            .await
            .unwrap();
        for statement in schema::statements(seed) {
            match session.client().batch_execute(&statement).await {
                Ok(()) => self.tally.made += 1,
                Err(error) => {
                    self.tally.refused += 1;
                    if std::env::var_os("LIFEBOAT_VERBOSE").is_some() {
                        let why = error.as_db_error().map_or("", |e| e.message());
                        stage::tell(&format!("{statement}\n    {why}"));
                    }
                }
            }
        }
    }

    async fn drop(&self, cluster: &ScratchCluster, database: &str) {
        let sql = format!("DROP DATABASE \"{database}\" WITH (FORCE)");
        self.source.psql("postgres", &sql);
        let scratch = self.scratch.as_ref().unwrap();
        let session = open(&scratch.database("template1")).await;
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", cluster.database);
        session.batch("clean up", &sql).await.unwrap();
    }
}

async fn open(cluster: &ScratchCluster) -> Session {
    let run = stage::new_run();
    Session::open(&cluster.endpoint(), run).await.unwrap()
}

async fn capture(drill: &Drill, folder: &Path) -> RecoveryPoint {
    let run = stage::new_run();
    let mut engine = engine(drill, run);
    unfence(&mut engine);
    // Nothing has to change hands.
    engine.launcher.account = None;
    let into: PathBuf = folder.join("point");
    std::fs::create_dir(&into).unwrap();
    let point = engine
        .capture(&context(run), &Room::Directory(into.clone()))
        .await
        .unwrap();
    crate::support::stage::open_to_all(&into);
    point
}

async fn rehearse(drill: &Drill, point: &RecoveryPoint, copying: Copying) -> RunRecord {
    let rehearsal = Rehearsal {
        drill: drill.clone(),
        point: Some(point.clone()),
        copying,
    };
    rehearsal.run().await
}

fn listed(record: &RunRecord) -> String {
    let lines = errors(record)
        .into_iter()
        .map(|line| format!("\n    {line}"));
    lines.collect()
}

/// Drills `count` schemas from the first seed on.
async fn many(count: u64) {
    let (source, first) = (source(), stage::seed());
    let work = (0..WORKERS).map(|number| {
        let source = &source;
        async move {
            let mut worker = Worker::new(source);
            for at in (number..count).step_by(usize::try_from(WORKERS).unwrap()) {
                Box::pin(worker.drill(first + at)).await;
            }
            worker.tally
        }
    });
    let tallies = futures_util::future::join_all(work).await;
    let clean: u32 = tallies.iter().map(|t| t.clean).sum();
    let mutated: u32 = tallies.iter().map(|t| t.mutated).sum();
    let (made, refused) = tallies.iter().fold((0, 0), |(made, refused), t| {
        (made + t.made, refused + t.refused)
    });
    // LATIN1 refuses many a value, and some types have no index of some kind.
    assert!(
        made > 5 * refused,
        "{refused} statements refused, {made} made"
    );
    let wrong: Vec<_> = tallies.into_iter().flat_map(|t| t.wrong).collect();
    stage::tell(&format!(
        "{clean} clean drills, {mutated} spoilt ones, {} wrong ({made} statements, {refused} refused)",
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_schemas_raise_no_false_alarm_and_hide_no_change() {
    many(24).await;
}

/// `LIFEBOAT_COUNT` says how many, `LIFEBOAT_SEED` from which one on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes"]
async fn a_thousand_random_schemas_raise_no_false_alarm_and_hide_no_change() {
    many(stage::count(1000)).await;
}
