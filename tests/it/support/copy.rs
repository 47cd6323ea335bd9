//! A drill that is going on, seen from outside.

use std::{
    path::PathBuf,
    process::{Child, Command},
};

use super::{
    database::{Database, Held},
    postgres::PORT,
    until,
    world::{Source, World, entries, processes_at},
};

/// In a function of the source: true in the copy alone.
pub const IN_COPY: &str = "current_setting('max_wal_senders') = '0'";

/// Processes of a scratch server that is at work.
pub struct Sleeping {
    pub server: i32,
    pub session: i32,
}

impl<S: Source> World<S> {
    /// The directory of the run that is going on; `place` holds scratch
    /// directories.
    pub fn sandbox(&self, place: &str) -> PathBuf {
        let place = self.path(place);
        let mut found = None;
        until("the sandbox is there", || {
            let names = entries(&place).into_iter();
            found = names.into_iter().find(|name| !name.contains('.'));
            found.is_some()
        });
        place.join(found.unwrap())
    }

    /// Waits until the scratch server sleeps in SQL; gives its process and that
    /// of the session.
    pub fn until_copy_sleeps(&self) -> Sleeping {
        let mut session = None;
        let sockets = self.sandbox("state/scratch").join("pg/sock");
        until("the scratch server sleeps", || {
            let output = Command::new("psql")
                .args(["-XqAt", "-U", "lifeboat_scratch", "-d", "template1", "-p"])
                .arg(PORT.to_string())
                .arg("-h")
                .arg(&sockets)
                .args([
                    "-c",
                    "select pid from pg_stat_activity where wait_event = 'PgSleep'",
                ])
                .output()
                .unwrap();
            session = String::from_utf8(output.stdout)
                .unwrap()
                .trim()
                .parse()
                .ok();
            session.is_some()
        });
        let file = self.sandbox("state/scratch").join("pg/data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        Sleeping {
            server: text.lines().next().unwrap().parse().unwrap(),
            session: session.unwrap(),
        }
    }

    /// The processes of this world that run `program`, oldest first.
    pub fn processes_of(&self, program: &str) -> Vec<i32> {
        let ours = processes_at(&self.path(""));
        let mut pids: Vec<i32> = ours
            .iter()
            .filter_map(|line| line.strip_prefix("/proc/")?.split(':').next()?.parse().ok())
            .filter(|pid: &i32| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                name.is_ok_and(|name| name.trim_end() == program)
            })
            .collect();
        pids.sort_unstable();
        pids
    }
}

impl World<Database> {
    /// Runs the drill until its dump waits for the table `t`, as long as the
    /// lock is held.
    pub fn run_until_dump_waits(&self) -> (Held, Child) {
        let lock = self.source.hold("begin; lock table t");
        let run = self.run_drill().spawn().unwrap();
        until("the dump waits for the lock", || {
            !self.processes_of("pg_dump").is_empty() && !self.source.waiting().is_empty()
        });
        (lock, run)
    }
}
