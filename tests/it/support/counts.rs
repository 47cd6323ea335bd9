//! What the history has counted, beside what there is.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::postgres::Server;

/// How many runs of each drill ended so.
type Counts = BTreeMap<(String, String), u64>;

fn add(counts: &mut Counts, drill: &str, tally: &str) {
    let tally: Value = serde_json::from_str(tally).unwrap();
    for (verdict, count) in tally["runs"].as_object().unwrap() {
        let key = (drill.to_owned(), verdict.clone());
        counts.insert(key, count.as_u64().unwrap());
    }
}

/// Each of these runs is counted in the file, and once.
pub fn all_are_counted(file: &Path, runs: &[Value]) {
    let mut there = Counts::new();
    for run in runs.iter().filter(|run| run["negative_control"] == false) {
        let text = |field: &str| run[field].as_str().unwrap().to_owned();
        *there.entry((text("drill"), text("verdict"))).or_default() += 1;
    }
    let mut counts = Counts::new();
    let file = rusqlite::Connection::open(file).unwrap();
    let mut asked = file.prepare("select drill, tally from tallies").unwrap();
    let mut rows = asked.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let text = |column| row.get::<_, String>(column).unwrap();
        add(&mut counts, &text(0), &text(1));
    }
    assert_eq!(counts, there);
}

/// The same of all runs in a database.
pub fn all_are_counted_in(server: &Server, database: &str) {
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
        add(&mut counts, drill, tally);
    }
    assert_eq!(counts, there);
}
