//! What is shown of a run, on records that ended in every way.

use lifeboat::{
    domain::{check::Finding, record::RunRecord},
    report::{html, json, list, text},
};

use crate::support::records::{failed, inconclusive, interrupted, negative_control, passed};

const PLAIN: text::Look = text::Look {
    width: 100,
    colour: false,
};

fn shown(record: &RunRecord) -> String {
    text::run(record, None, PLAIN)
}

fn every_record() -> [(&'static str, RunRecord); 5] {
    [
        ("passed", passed()),
        ("failed", failed()),
        ("inconclusive", inconclusive()),
        ("interrupted", interrupted()),
        ("negative_control", negative_control()),
    ]
}

#[test]
fn text_of_every_record_is_as_agreed() {
    for (name, record) in every_record() {
        insta::assert_snapshot!(format!("text_{name}"), shown(&record));
    }
}

#[test]
fn the_json_shape_does_not_change_silently() {
    for (name, record) in every_record() {
        insta::assert_snapshot!(format!("json_{name}"), json::run(&record).unwrap());
    }
}

#[test]
fn json_reads_back_as_it_was() {
    let records = every_record().map(|(_, record)| record);
    for record in &records {
        let read: RunRecord = serde_json::from_str(&json::run(record).unwrap()).unwrap();
        assert_eq!(&read, record);
    }
    let read: Vec<RunRecord> = serde_json::from_str(&json::runs(&records).unwrap()).unwrap();
    assert_eq!(read, records);
}

#[test]
fn the_list_is_as_agreed() {
    let records = every_record().map(|(_, record)| record);
    let look = text::Look {
        width: 160,
        ..PLAIN
    };
    insta::assert_snapshot!(list::runs(&records, look));
}

#[test]
fn a_plain_screen_gets_no_escape_codes_and_no_control_characters() {
    let mut record = failed();
    record.checks[0].findings[0].message = "\u{1b}[2Jgone\r\u{7}".to_owned();
    assert!(!shown(&record).contains(|c: char| c.is_control() && c != '\n'));
    let colour = text::Look {
        colour: true,
        ..PLAIN
    };
    let coloured = text::run(&record, None, colour);
    assert!(coloured.contains("\u{1b}["));
    assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains('\u{7}'));
}

#[test]
fn lines_fit_the_screen() {
    for (name, record) in every_record() {
        let look = text::Look {
            width: 80,
            colour: false,
        };
        for line in text::run(&record, None, look).lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}

#[test]
fn what_was_not_tested_is_never_shown_as_passed() {
    for record in [inconclusive(), interrupted()] {
        let shown = shown(&record);
        assert!(shown.contains("UNTESTED: no check was made"), "{shown}");
        assert!(!shown.contains('✓') && !shown.contains(" met"), "{shown}");
        let page = html::run(&record).unwrap();
        assert!(page.contains("UNTESTED: no check was made"));
    }
}

#[test]
fn the_page_escapes_all_that_it_did_not_write() {
    const EVIL: &str = "<script>alert(1)</script>\"'&";
    let mut record = inconclusive();
    record.drill = EVIL.to_owned();
    record.reasons = vec![EVIL.to_owned()];
    record.checks = failed().checks;
    record.checks[0].name = EVIL.to_owned();
    record.checks[0].findings = vec![Finding::error(EVIL, EVIL).hint(EVIL)];
    record.notes = vec![EVIL.to_owned()];
    record.planted = vec![EVIL.to_owned()];
    record.rto.note = Some(EVIL.to_owned());
    if let Some(failed) = &mut record.failure {
        failed.failure.diagnosis = vec![EVIL.to_owned()];
    }
    if let Some(source) = &mut record.source {
        source.settings.insert(EVIL.to_owned(), EVIL.to_owned());
    }
    let page = html::run(&record).unwrap();
    assert!(!page.contains("<script"));
    assert!(page.matches("&#60;script&#62;").count() >= 12);
}

#[test]
fn the_page_needs_nothing_else() {
    for (name, record) in every_record() {
        let page = html::run(&record).unwrap();
        for outside in ["http:", "https:", "src=", "href=", "@import", "<script"] {
            assert!(!page.contains(outside), "{name} contains {outside}");
        }
        if let Ok(folder) = std::env::var("LIFEBOAT_PAGES") {
            std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
        }
    }
}

#[test]
fn every_field_is_documented() {
    const DOCS: &str = include_str!("../../docs/run-json.md");
    let mut fields = std::collections::BTreeSet::new();
    for (_, record) in every_record() {
        collect(&serde_json::to_value(record).unwrap(), &mut fields);
    }
    assert!(fields.len() > 60, "{fields:?}");
    let missing: Vec<_> = fields
        .iter()
        .filter(|field| !DOCS.contains(&format!("`{field}`")))
        .collect();
    assert!(missing.is_empty(), "docs/run-json.md lacks {missing:?}");
}

/// Field names at every depth, but not the free keys of settings and details.
fn collect(value: &serde_json::Value, fields: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                fields.insert(name.clone());
                if name != "settings" && name != "details" {
                    collect(value, fields);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect(value, fields)),
        _ => {}
    }
}
