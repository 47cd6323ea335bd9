//! A database whose dumps lie in a bucket.

use std::{path::Path, time::Duration};

use super::{
    database::Database,
    s3::Store,
    world::{Source, World},
};

/// The database, and a store of its own.
pub struct Stored {
    pub database: Database,
    pub store: Store,
    /// What lies in the bucket before any run, and is no run's.
    foreign: Vec<String>,
}

impl Stored {
    /// A world whose drill `app` keeps fresh dumps in a bucket, where
    /// something else lies, too.
    pub fn fresh(jobs: u32) -> World<Self> {
        let world = World::new(|_| Self::new());
        world.drill("app", &world.source.keeping(jobs));
        world
    }

    fn new() -> Self {
        let mut stored = Self {
            database: Database::small(),
            store: Store::new(),
            foreign: Vec::new(),
        };
        stored.put("kept/lb-of-somebody-else/dump", b"theirs");
        stored
    }

    /// Puts an object there that no run may touch.
    pub fn put(&mut self, key: &str, content: &[u8]) {
        self.put_old(key, content, Duration::ZERO);
    }

    /// The same, of a given age.
    pub fn put_old(&mut self, key: &str, content: &[u8], age: Duration) {
        self.store.place_object(key, content, age);
        self.foreign.push(key.to_owned());
        self.foreign.sort();
    }

    /// Puts a dump there; `format` as `pg_dump` calls it.
    pub fn put_dump(&mut self, key: &str, format: &str) {
        let dump = self.database.dump(format);
        self.put(key, &dump);
    }

    /// The recovery point of a drill that keeps its dump in the bucket.
    pub fn keeping(&self, jobs: u32) -> String {
        let s3 = self.store.yaml("kept");
        format!("  recoveryPoint: {{ fresh: {{ jobs: {jobs}, to: {{ s3: {s3} }} }} }}\n")
    }

    /// The recovery point of a drill of a dump in the bucket.
    pub fn existing(&self, key: &str) -> String {
        let s3 = self.store.yaml(key);
        format!("  recoveryPoint: {{ existing: {{ s3: {s3} }} }}\n")
    }

    /// Every object that was there before, byte by byte.
    fn objects(&self) -> String {
        let root = self.store.objects();
        let read = |key: &String| std::fs::read(root.join(Path::new(key)));
        let objects = self.foreign.iter();
        objects
            .map(|key| format!("{key}: {:?}", read(key).ok()))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Source for Stored {
    fn workload(&self) -> String {
        self.database.workload()
    }

    fn content(&self) -> String {
        self.database.content() + &self.objects()
    }

    /// Sessions, and what is in the bucket and was not before.
    fn guests(&self) -> Vec<String> {
        let mut guests = self.database.guests();
        let new = self.store.keys();
        guests.extend(new.into_iter().filter(|key| !self.foreign.contains(key)));
        match self.store.uploads() {
            0 => {}
            count => guests.push(format!("{count} unfinished uploads")),
        }
        guests
    }
}
