//! What a history in a database has counted, beside what there is.

use super::{
    counts::{self, Counts},
    postgres::Server,
};

/// Each run of a history in the database is counted there, and once.
pub fn all_are_counted(server: &Server, database: &str) {
    let mut there = Counts::new();
    let sql = "select drill, verdict, count(*) from runs \
               where verdict is not null and negative_control = 0 group by 1, 2";
    for line in server.psql(database, sql).lines() {
        let part: Vec<&str> = line.split('|').collect();
        let key = (part[0].to_owned(), part[1].to_owned());
        there.insert(key, part[2].parse().unwrap());
    }
    let mut counts = Counts::new();
    let tallies = server.psql(database, "select drill, tally from tallies");
    for line in tallies.lines() {
        let (drill, tally) = line.split_once('|').unwrap();
        counts::add(&mut counts, drill, tally);
    }
    assert_eq!(counts, there);
}
