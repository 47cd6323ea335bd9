//! What all faults are planted into: one source, one recovery point of it, one
//! scratch server, and one loaded database that copies are made of.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{ids::RunId, record::RunRecord, recovery_point::RecoveryPoint},
    engine::{
        Copy, Instance, Restored, Source,
        postgresql::{endpoint::ScratchCluster, session::Session},
    },
    sandbox::Room,
    spec::drill::{Drill, Integrity},
};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    change,
    fault::{Fault, Plant},
    script::{self, Says},
};
use crate::support::{
    postgres::Server,
    rich,
    stage::{
        Copying, Rehearsal, ScratchServer, context, engine, existing_drill, fresh_drill, place,
        unfence, with_dump,
    },
};

/// The database that is loaded once.
const LOADED: &str = "loaded";

pub struct World {
    source: Server,
    database: String,
    drill: Drill,
    point: RecoveryPoint,
    /// Holds the recovery point and what `pg_dump` made.
    folder: TempDir,
    scratch: ScratchServer,
    restored: Restored,
    /// Every way to call `pg_dump` is used once.
    dumps: Mutex<BTreeSet<String>>,
    next: AtomicU32,
}

/// What was said of one fault.
pub struct Told {
    pub record: RunRecord,
    pub script: Says,
    /// What is said of the same backup where nothing is known of its source.
    pub existing: Option<RunRecord>,
}

impl World {
    pub async fn new(source: Server) -> Self {
        let database = source.database();
        source.psql(&database, rich::SCHEMA);
        source.psql(&database, include_str!("source.sql"));
        let drill = fresh_drill(&source, &database);
        let folder = place();
        let run = RunId::new(SystemClock::new().now());
        let mut engine = engine(&drill, run);
        unfence(&mut engine);
        let into = folder.path().join("point");
        hand_over(&into, std::fs::create_dir);
        let point = engine
            .capture(&context(run), &Room::Directory(into.clone()))
            .await
            .unwrap();
        script::globals(&source, &into.join("globals.sql"));
        let scratch = ScratchServer::start(&drill, &point).await;
        let load = folder.path().join("load");
        hand_over(&load, std::fs::create_dir);
        hand_over(&load.join("pg"), std::fs::create_dir);
        let instance = Instance {
            dir: load,
            endpoint: serde_json::to_value(scratch.database(LOADED)).unwrap(),
        };
        let restored = engine
            .restore(&context(run), &point, &instance)
            .await
            .unwrap();
        assert_eq!(restored.checks[0].findings, [], "the dump loads");
        Self {
            source,
            database,
            drill,
            point,
            folder,
            scratch,
            restored,
            dumps: Mutex::default(),
            next: AtomicU32::new(0),
        }
    }

    /// A whole drill with the fault, and the script on the same spoilt thing.
    pub async fn plant(&self, fault: &Fault, deep: bool) -> Told {
        match fault.plant {
            Plant::Sql(sql) => self.spoilt_by(sql, deep).await,
            Plant::File(relation, change) => self.spoilt_file(relation, change, deep).await,
            Plant::Dump(change) => {
                let folder = self.own_backup();
                change(folder.path());
                self.drill_backup(folder, "directory", self.shared()).await
            }
            Plant::Alone(change) => {
                let folder = self.own_backup();
                change(folder.path());
                self.drill_backup(folder, "directory", Copying::Alone).await
            }
            Plant::Made(args) => {
                let folder = self.backup(args).await;
                let globals = folder.path().join("globals.json");
                hand_over(&globals, |to| std::fs::copy(self.own("globals.json"), to));
                self.drill_backup(folder, format_of(args), self.shared())
                    .await
            }
            Plant::Existing(args, change) => {
                let folder = self.backup(args).await;
                change(folder.path());
                self.drill_existing(&folder, self.shared()).await
            }
            Plant::ExistingAlone(args, change) => {
                let folder = self.backup(args).await;
                change(folder.path());
                self.drill_existing(&folder, Copying::Alone).await
            }
        }
    }

    async fn spoilt_by(&self, sql: &str, deep: bool) -> Told {
        let copy = self.copy("wal_log").await;
        let planted = self.session(&copy).await.batch("plant", sql).await;
        planted.unwrap_or_else(|failure| panic!("{sql}: {failure}"));
        self.drill_copy(copy, deep).await
    }

    async fn spoilt_file(&self, relation: &str, change: fn(&mut Vec<u8>), deep: bool) -> Told {
        // None of its pages must be in the server's memory.
        let copy = self.copy("file_copy").await;
        let sql = format!("SELECT pg_relation_filepath({relation}::regclass)");
        let session = self.session(&copy).await;
        let path: String = session.row("find", &sql, &[]).await.unwrap().get(0);
        let path = copy.data_directory.join(path);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        self.drill_copy(copy, deep).await
    }

    fn own(&self, name: &str) -> PathBuf {
        self.folder.path().join("point").join(name)
    }

    /// A copy of the recovery point that Lifeboat made.
    fn own_backup(&self) -> TempDir {
        let folder = place();
        copy_all(&self.own("."), folder.path());
        folder
    }

    /// A copy of what `pg_dump` makes when it is called so.
    async fn backup(&self, args: &[&str]) -> TempDir {
        let name = args.join(" ").replace('/', "");
        let made = self.folder.path().join(&name);
        let mut dumps = self.dumps.lock().await;
        if dumps.insert(name) {
            hand_over(&made, std::fs::create_dir);
            let dump = match format_of(args) {
                "plain" => "dump.sql",
                _ => "dump",
            };
            script::dump(&self.source, &self.database, args, &made.join(dump));
            hand_over(&made.join("globals.sql"), |to| {
                std::fs::copy(self.own("globals.sql"), to)
            });
        }
        drop(dumps);
        let folder = place();
        copy_all(&made.join("."), folder.path());
        folder
    }

    fn shared(&self) -> Copying {
        let name = format!("backup {}", self.number());
        Copying::Shared(self.scratch.database(&name))
    }

    /// The server that the script may use.
    fn server(&self, copying: &Copying) -> Option<&ScratchCluster> {
        match copying {
            Copying::Alone => None,
            _ => Some(&self.scratch.cluster),
        }
    }

    /// Held against what is known of the cut, and then without that.
    async fn drill_backup(&self, folder: TempDir, format: &str, copying: Copying) -> Told {
        if !matches!(copying, Copying::Alone) {
            change::without_roles(folder.path());
        }
        let point = with_dump(&self.point, &change::backup(folder.path()), format);
        let record = self.rehearse(self.drill.clone(), Some(point), copying.clone());
        let script = script::backup(folder.path(), self.server(&copying));
        let (record, script) = tokio::join!(record, script);
        let mut existing = None;
        if !matches!(copying, Copying::Alone) {
            // Nobody else's backup has it.
            let _ = std::fs::remove_file(folder.path().join("globals.json"));
            existing = Some(self.existing(folder.path(), copying).await);
        }
        Told {
            record,
            script,
            existing,
        }
    }

    async fn drill_existing(&self, folder: &TempDir, copying: Copying) -> Told {
        let script = script::backup(folder.path(), self.server(&copying));
        let (record, script) = tokio::join!(self.existing(folder.path(), copying.clone()), script);
        Told {
            record,
            script,
            existing: None,
        }
    }

    async fn existing(&self, folder: &Path, copying: Copying) -> RunRecord {
        let alone = matches!(copying, Copying::Alone);
        let globals = alone.then(|| folder.join("globals.sql"));
        let drill = existing_drill(&change::backup(folder), globals.as_deref());
        self.rehearse(drill, None, copying).await
    }

    async fn drill_copy(&self, copy: ScratchCluster, deep: bool) -> Told {
        let script = script::copy(&copy).await;
        let copying = Copying::Loaded(copy.clone(), Box::new(self.restored.clone()));
        let mut drill = self.drill.clone();
        if !deep {
            drill.checks.integrity = Integrity::Quick;
        }
        let record = self
            .rehearse(drill, Some(self.point.clone()), copying)
            .await;
        let dropped = format!("DROP DATABASE \"{}\" WITH (FORCE)", copy.database);
        self.maintenance(&[&dropped]).await;
        Told {
            record,
            script,
            existing: None,
        }
    }

    async fn rehearse(
        &self,
        mut drill: Drill,
        point: Option<RecoveryPoint>,
        copying: Copying,
    ) -> RunRecord {
        // Workers write into each other's lines now and then, and the page tells
        // what they say.
        drill.sandbox.restore_jobs = 1;
        let rehearsal = Rehearsal {
            drill,
            point,
            copying,
        };
        rehearsal.run().await
    }

    /// A drill without any fault.
    pub async fn clean(&self) -> Told {
        let copy = self.copy("wal_log").await;
        self.drill_copy(copy, true).await
    }

    /// A copy of the loaded database, with what the server keeps beside it.
    async fn copy(&self, strategy: &str) -> ScratchCluster {
        let name = format!("copy {}", self.number());
        let made = format!("CREATE DATABASE \"{name}\" TEMPLATE {LOADED} STRATEGY {strategy}");
        let besides = format!(
            "INSERT INTO pg_db_role_setting SELECT n.oid, s.setrole, s.setconfig \
             FROM pg_db_role_setting s, pg_database o, pg_database n \
             WHERE s.setdatabase = o.oid AND o.datname = '{LOADED}' AND n.datname = '{name}'; \
             INSERT INTO pg_shdescription SELECT n.oid, c.classoid, c.description \
             FROM pg_shdescription c, pg_database o, pg_database n \
             WHERE c.classoid = 'pg_database'::regclass AND c.objoid = o.oid \
             AND o.datname = '{LOADED}' AND n.datname = '{name}'; \
             UPDATE pg_database n SET datdba = o.datdba, datacl = o.datacl FROM pg_database o \
             WHERE o.datname = '{LOADED}' AND n.datname = '{name}'"
        );
        self.maintenance(&[&made, &besides]).await;
        self.scratch.database(&name)
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Each statement in a message of its own.
    async fn maintenance(&self, statements: &[&str]) {
        let session = self.session(&self.scratch.database("template1")).await;
        for statement in statements {
            session.batch("prepare", statement).await.unwrap();
        }
    }

    async fn session(&self, cluster: &ScratchCluster) -> Session {
        let run = RunId::new(SystemClock::new().now());
        Session::open(&cluster.endpoint(), run).await.unwrap()
    }
}

fn format_of<'a>(args: &[&'a str]) -> &'a str {
    args.iter()
        .find_map(|arg| arg.strip_prefix("--format="))
        .unwrap()
}

/// Makes something and gives it to the account that servers run as.
fn hand_over<T>(path: &Path, make: impl FnOnce(PathBuf) -> std::io::Result<T>) {
    make(path.to_owned()).unwrap();
    own(path);
}

fn own(path: &Path) {
    let status = Command::new("chown")
        .args(["-R", "postgres:postgres"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

fn copy_all(from: &Path, into: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .args([from, into])
        .status()
        .unwrap();
    assert!(status.success());
}
