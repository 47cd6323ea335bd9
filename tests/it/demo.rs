//! `lifeboat demo`, which most people run first. Runs the real binary.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::support::world::{SqliteFile, World, text};

/// The findings of a check, as one text.
fn findings(record: &Value, check: &str) -> String {
    let checks = record["checks"].as_array().unwrap();
    let check = checks.iter().find(|one| one["name"] == check).unwrap();
    assert_eq!(check["outcome"], "fail", "{check:#}");
    check["findings"].to_string()
}

/// What stands behind `begin` on one of the lines.
fn rest<'a>(told: &'a str, begin: &str) -> &'a str {
    let mut lines = told.lines().filter_map(|line| line.strip_prefix(begin));
    lines
        .next()
        .unwrap_or_else(|| panic!("no {begin} in {told}"))
}

#[test]
fn the_demo_passes_and_its_negative_control_names_what_was_spoilt() {
    let world = World::new(SqliteFile::make);
    let demo = world.lifeboat_for_people(&["demo", "--size", "8"]);
    let output = { demo }.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    world.is_empty();

    let runs = world.runs();
    let [control, drill] = &runs[..] else {
        panic!("{runs:?}");
    };
    assert_eq!([&drill["verdict"], &drill["proof"]], ["passed", "exact"]);
    for check in drill["checks"].as_array().unwrap() {
        let findings = check["findings"].as_array().into_iter().flatten();
        let told: Vec<String> = findings.map(Value::to_string).collect();
        let once: BTreeSet<&String> = told.iter().collect();
        assert_eq!(once.len(), told.len(), "said twice: {told:#?}");
    }
    assert_eq!(control["verdict"], "failed");
    assert_eq!(control["negative_control"], true);
    let told = String::from_utf8(output.stdout).unwrap();
    for (check, begin) in [
        ("fingerprints", " changed one byte of digest in "),
        ("canary", " dropped the canary write with "),
        (
            "integrity",
            " swapped two entries in the first leaf page of ",
        ),
    ] {
        let planted = rest(&told, begin);
        let name = planted.split(" where ").next().unwrap();
        let name = name.split(" from ").next().unwrap();
        let findings = findings(control, check);
        assert!(findings.contains(name), "{name}: {findings}");
    }
    for (begin, verdict) in [
        ("passed drill: ", "PASSED"),
        ("failed negative control: ", "FAILED"),
    ] {
        let page = fs::read_to_string(Path::new(rest(&told, begin))).unwrap();
        assert!(page.contains(verdict), "{begin}{verdict}");
    }
    let last = told.lines().last().unwrap();
    let written = last.split_once(" transactions were committed").unwrap().0;
    assert!(written.parse::<u64>().unwrap() > 0, "{last}");
    world.is_clean(2);
}

#[test]
fn machines_get_the_records_of_the_demo_and_nothing_else() {
    let world = World::new(SqliteFile::make);
    let output = world.lifeboat(&["demo", "--size", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts: Vec<&Value> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["verdict"])
        .collect();
    assert_eq!(verdicts, ["passed", "failed"]);
    assert!(text(&output).contains(" transactions were committed"));
}
