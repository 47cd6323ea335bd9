//! What the history has counted, beside what there is.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

/// How many runs of each drill ended so.
pub type Counts = BTreeMap<(String, String), u64>;

/// Adds what is counted of a drill.
pub fn add(counts: &mut Counts, drill: &str, tally: &str) {
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
