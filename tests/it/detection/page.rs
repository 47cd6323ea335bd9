//! The page about detection power, made of what a run of all faults gave.

use std::{fmt::Write as _, path::Path};

use lifeboat::domain::{record::RunRecord, verdict::Verdict};

use super::{errors, failed, fault::Fault, script::Says, world::Told};

/// The longest text of a finding that is shown, in characters.
const LONGEST: usize = 150;

const HEAD: &str = include_str!("page_head.md");

/// What was said of one fault.
pub struct Row {
    /// `None` for a change that is no fault.
    pub group: Option<&'static str>,
    pub fault: &'static Fault,
    pub told: Told,
}

/// The committed page has to be the one that this run gave. To write it anew:
/// `UPDATE_DETECTION=1 cargo test --test it detection`.
pub fn check(made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detection.md");
    if std::env::var_os("UPDATE_DETECTION").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    let lacks = |page: &str, line: &&str| !page.lines().any(|other| other == *line);
    let gone = committed.lines().filter(|line| lacks(made, line));
    let new = made.lines().filter(|line| lacks(&committed, line));
    let differs: Vec<_> = gone
        .map(|line| format!("- {line}\n"))
        .chain(new.map(|line| format!("+ {line}\n")))
        .collect();
    assert!(committed == made, "other lines:\n{}", differs.concat());
}

/// The whole page.
pub fn render(rows: &[Row]) -> String {
    let planted: Vec<&Row> = rows.iter().filter(|row| row.group.is_some()).collect();
    let noticed = planted.iter().filter(|row| row.told.script != Says::Ok);
    let mut page = HEAD
        .replace("{planted}", &planted.len().to_string())
        .replace("{script}", &noticed.count().to_string())
        .replace("{harmless}", &(rows.len() - planted.len()).to_string());
    let mut group = "";
    for row in planted {
        let title = row.group.unwrap_or_default();
        let existing = row.told.existing.is_some();
        if title != group {
            group = title;
            page.push_str(&heading(title, existing));
        }
        page.push_str(&line(row));
    }
    page.push_str("\n## What is no fault\nEach of these drills passes:\n");
    for row in rows.iter().filter(|row| row.group.is_none()) {
        let _ = writeln!(page, "- {}", row.fault.name);
    }
    page
}

fn heading(title: &str, existing: bool) -> String {
    if existing {
        format!(
            "\n## {title}\n| fault | Lifeboat | Lifeboat, where the backup was found | script |\n|---|---|---|---|\n"
        )
    } else {
        format!("\n## {title}\n| fault | Lifeboat | script |\n|---|---|---|\n")
    }
}

fn line(row: &Row) -> String {
    let mut cells = vec![row.fault.name.to_owned(), found(row)];
    if let Some(existing) = &row.told.existing {
        cells.push(match existing.verdict {
            Some(Verdict::Passed) => format!("passes, proof `{}`", existing.proof.name()),
            Some(Verdict::Failed) => format!("fails: {}", first_words(existing)),
            other => format!("{other:?}"),
        });
    }
    cells.push(match &row.told.script {
        Says::Ok => "ok".to_owned(),
        Says::Fails => "fails".to_owned(),
        Says::NeverEnds => "never ends".to_owned(),
    });
    format!("| {} |\n", cells.join(" | "))
}

/// Of every check that failed its first error.
fn first_words(record: &RunRecord) -> String {
    let said = errors(record);
    let words = failed(record)
        .into_iter()
        .map(|by| match said.iter().find(|said| said.by == by) {
            Some(said) => format!("**{by}**: {}", shown(&said.text)),
            None => format!("**{by}**"),
        });
    words.collect::<Vec<_>>().join("; ")
}

/// Of every check that failed the finding that names the fault.
fn found(row: &Row) -> String {
    let said = errors(&row.told.record);
    let mut parts = Vec::new();
    for by in row.fault.found_by {
        let mut of_check = said.iter().filter(|said| said.by == *by);
        let names = |text: &str| row.fault.names.iter().any(|name| text.contains(name));
        let first = of_check.clone().next();
        let told = of_check.find(|said| names(&said.text)).or(first);
        parts.push(match told {
            Some(said) => format!("**{by}**: {}", shown(&said.text)),
            None => format!("**{by}**"),
        });
    }
    parts.join("; ")
}

/// Without what differs from run to run and from machine to machine.
fn shown(text: &str) -> String {
    let mut text = text.replace('|', "\\|").replace('\n', " ");
    for root in ["/dev/shm/", &format!("{}/", std::env::temp_dir().display())] {
        while let Some(at) = text.find(root) {
            let name = at + root.len();
            let end = text[name..]
                .find('/')
                .map_or(text.len(), |end| name + end + 1);
            text.replace_range(at..end, "");
        }
    }
    for (before, after) in [("base/", ""), ("block ID ", " "), ("library is ", ":")] {
        if let Some(at) = text.find(before).map(|at| at + before.len()) {
            let rest = &text[at..];
            let end = if after.is_empty() {
                rest.len()
            } else {
                rest.find(after).unwrap_or(rest.len())
            };
            text.replace_range(at..at + end, "…");
        }
    }
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).collect::<String>() + "…";
    }
    text
}
