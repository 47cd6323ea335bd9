//! What is shown of a run, on records that ended in every way.

use lifeboat::{
    domain::{check::Finding, record::RunRecord},
    report::{html, json, list, text},
};

use crate::support::{
    kinds,
    records::{failed, inconclusive, interrupted, negative_control, passed},
};

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

/// The bar of a step in the drawing: what stands between its name and the next.
fn bars<'a>(page: &'a str, step: &str) -> Vec<&'a str> {
    let name = format!("\">{step}</text>");
    let rest = page.split(&name).nth(1).unwrap();
    let row = rest.split("<text").next().unwrap();
    row.split("<rect ").skip(1).collect()
}

fn is_bar(bar: &str, class: &str, x: &str, width: &str) -> bool {
    bar.contains(&format!("class=\"{class}\" x=\"{x}\""))
        && bar.contains(&format!("width=\"{width}\""))
}

/// 23.9 s are drawn over 750 units that begin at 130; declared is at 5.212 s,
/// serving at 17.552 s.
#[test]
fn the_timeline_is_drawn_to_scale() {
    let page = html::run(&passed()).unwrap();
    // From 6.141 s on, 11.269 s long: all of it counts.
    let restore = bars(&page, "restore");
    assert_eq!(restore.len(), 2, "{restore:?}");
    for (bar, class) in restore.iter().zip(["aside", "counted"]) {
        assert!(is_bar(bar, class, "322.7", "353.6"), "{restore:?}");
    }
    // From 17.552 s on, 5.548 s long: nothing of it counts.
    let verify = bars(&page, "verify");
    assert_eq!(verify.len(), 1, "{verify:?}");
    assert!(is_bar(verify[0], "aside", "680.8", "174.1"), "{verify:?}");
    let area = "<rect class=\"rto\" x=\"293.6\"";
    assert!(page.contains(area) && page.contains("width=\"387.2\""));
    assert!(page.contains("recovery time 12.3 s"));
}

#[test]
fn the_page_tells_targets_findings_and_how_things_looked() {
    let page = html::run(&failed()).unwrap();
    for part in [
        "measured 12.3 s, target 10 s",
        "worst case 50 min 5 s, target 1 h",
        "1 of 312 acknowledged writes lost",
        "<strong>table public.orders_14</strong>: 14 rows differ, first key (id) = (14)",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let page = html::run(&inconclusive()).unwrap();
    for part in [
        "What went wrong in step restore",
        "pg_restore ended with status 1: no space left",
        "free 2.1 GiB under the scratch directory",
        "base/16384/16402",
        "free: 0 B of 10.0 GiB",
        "not measured, target 15 min",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn every_field_is_documented() {
    const DOCS: &str = include_str!("../../docs/run-json.md");
    let mut fields = std::collections::BTreeSet::new();
    let records = every_record().map(|(_, record)| record);
    for record in records.into_iter().chain(kinds::others()) {
        collect(&serde_json::to_value(record).unwrap(), &mut fields);
    }
    for kind in ["`volumes`", "`storage`", "`namespace`", "`objects`"] {
        assert!(
            fields.contains(kind.trim_matches('`')),
            "{kind}: {fields:?}"
        );
    }
    assert!(fields.len() > 60, "{fields:?}");
    let missing: Vec<_> = fields
        .iter()
        .filter(|field| !DOCS.contains(&format!("`{field}`")))
        .collect();
    assert!(missing.is_empty(), "docs/run-json.md lacks {missing:?}");
}

/// The values of these are names, too.
const OF_A_KIND: [&str; 10] = [
    "kind",
    "basis",
    "ownership",
    "state",
    "standing",
    "verdict",
    "proof",
    "outcome",
    "severity",
    "profile",
];

/// Field names at every depth, but not the free keys of settings and details.
fn collect(value: &serde_json::Value, fields: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                fields.insert(name.clone());
                if let Some(kind) = value
                    .as_str()
                    .filter(|_| OF_A_KIND.contains(&name.as_str()))
                {
                    fields.insert(kind.to_owned());
                }
                if name != "settings" && name != "details" {
                    collect(value, fields);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect(value, fields)),
        _ => {}
    }
}
