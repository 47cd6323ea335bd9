//! A run as text for a terminal: the verdict first, then why.

use std::path::Path;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::{facts, format, words, words::Tone};
use crate::domain::{
    check::{CheckResult, Finding, Outcome},
    record::{FailedStep, RunRecord},
    timeline::Milestone,
};

/// The findings that are shown of each check.
const MAX_FINDINGS: usize = 10;

/// What the reader's screen can do.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns; at least 40 are used.
    pub width: u16,
    /// Whether escape codes are understood and wanted.
    pub colour: bool,
}

impl Look {
    /// That of standard output. Colour only on a terminal, and not where
    /// `NO_COLOR` is set (<https://no-color.org>) or the terminal is dumb.
    #[must_use]
    pub fn stdout() -> Self {
        let terminal = console::Term::stdout();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            width: terminal.size_checked().map_or(100, |(_, columns)| columns),
            colour: terminal.is_term() && !refused && !dumb,
        }
    }
}

/// The whole result. `report` is where the HTML page lies.
#[must_use]
pub fn run(record: &RunRecord, report: Option<&Path>, look: Look) -> String {
    let mut parts = vec![head(record, look)];
    parts.push(headlines(record, look));
    if let Some(failed) = &record.failure {
        parts.push(failure(failed, look));
    }
    parts.push(checks(&record.checks, look));
    parts.push(timeline(record, look));
    parts.push(critical_path(record, look));
    for section in facts::sections(record) {
        parts.push(rows(section.title, &section.rows, look));
    }
    parts.push(bullets("Planted faults", &record.planted, look));
    parts.push(bullets("Notes", &record.notes, look));
    if let Some(path) = report {
        parts.push(format!("Report: {}\n", path.display()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn head(record: &RunRecord, look: Look) -> String {
    let (verdict, tone) = words::verdict(record.verdict);
    let control = if record.negative_control {
        "  (negative control: the copy was spoilt on purpose)"
    } else {
        ""
    };
    let released = record.timeline.get(Milestone::Released);
    let took = released.map_or(String::new(), |end| {
        format!(", took {}", format::duration_us(end.offset_us))
    });
    let title = vec![
        toned(verdict, tone),
        Cell::new(format!("{}{control}", clean(&record.drill))),
    ];
    let mut lines = vec![
        format!(
            "run {} · {} · {}{took}",
            record.id,
            clean(&record.engine),
            format::timestamp(record.requested_at)
        ),
        facts::progress(record),
    ];
    let reasons = record.reasons.iter();
    lines.extend(reasons.map(|reason| format!("• {}", clean(reason))));
    let lines = lines
        .into_iter()
        .map(|line| vec![Cell::new(line)])
        .collect();
    format!(
        "{}\n{}\n",
        cell_table(vec![title], look),
        cell_table(lines, look)
    )
}

fn headlines(record: &RunRecord, look: Look) -> String {
    let mut lines = Vec::new();
    for headline in facts::headlines(record) {
        lines.push(vec![
            Cell::new(headline.label).add_attribute(Attribute::Bold),
            toned(&headline.state, headline.tone),
            Cell::new(clean(&headline.value)),
        ]);
        for detail in &headline.details {
            lines.push(vec![Cell::new(""), Cell::new(""), Cell::new(clean(detail))]);
        }
    }
    cell_table(lines, look) + "\n"
}

fn failure(failed: &FailedStep, look: Look) -> String {
    let failure = &failed.failure;
    let mut lines = vec![format!("{}: {}", failed.step, clean(&failure.message))];
    lines.extend(
        failure
            .hint
            .iter()
            .map(|hint| format!("hint: {}", clean(hint))),
    );
    lines.extend(
        failure
            .diagnosis
            .iter()
            .map(|line| format!("  {}", clean(line))),
    );
    bullets("What went wrong", &lines, look)
}

fn checks(checks: &[CheckResult], look: Look) -> String {
    if checks.is_empty() {
        return titled("Checks", "– UNTESTED: no check was made\n", look);
    }
    let mut lines = Vec::new();
    for check in checks {
        let (word, tone) = words::outcome(check.outcome);
        lines.push(vec![
            toned(word, tone),
            Cell::new(clean(&check.name)),
            Cell::new(clean(&check.summary)),
            Cell::new(format::duration_ms(check.elapsed_ms)),
        ]);
        if check.outcome != Outcome::Pass {
            lines.extend(findings(&check.findings));
        }
    }
    titled("Checks", &(cell_table(lines, look) + "\n"), look)
}

fn findings(findings: &[Finding]) -> Vec<Vec<Cell>> {
    let line = |left: String, right: String| {
        vec![
            Cell::new(""),
            Cell::new(left),
            Cell::new(right),
            Cell::new(""),
        ]
    };
    let mut lines = Vec::new();
    for finding in findings.iter().take(MAX_FINDINGS) {
        let left = format!(
            "{} {}",
            words::severity(finding.severity),
            clean(&finding.subject)
        );
        lines.push(line(left, clean(&finding.message)));
        if let Some(hint) = &finding.hint {
            lines.push(line(String::new(), format!("hint: {}", clean(hint))));
        }
    }
    let more = findings.len().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        lines.push(line(
            String::new(),
            format!("… and {} more", format::count(more)),
        ));
    }
    lines
}

fn timeline(record: &RunRecord, look: Look) -> String {
    let recovery = record.timeline.recovery_time();
    let mut within = false;
    let mut lines = Vec::new();
    for (milestone, reached) in record.timeline.in_order() {
        let (edge, note) = match (milestone, recovery) {
            (Milestone::Declared, _) => {
                within = recovery.is_some();
                (
                    if within { "┌" } else { " " },
                    "the recovery clock starts".to_owned(),
                )
            }
            (Milestone::Serving, Some(time)) => {
                within = false;
                let time = format::duration_us(crate::domain::event::micros(time));
                ("└", format!("the recovery clock stops at {time}"))
            }
            _ if within => ("│", words::lag(reached)),
            _ => (" ", words::lag(reached)),
        };
        let offset = format!("{edge} +{}", format::duration_us(reached.offset_us));
        lines.push(vec![
            Cell::new(offset),
            Cell::new(words::milestone(milestone)),
            Cell::new(note),
        ]);
    }
    if lines.is_empty() {
        return String::new();
    }
    titled("Timeline", &(cell_table(lines, look) + "\n"), look)
}

fn critical_path(record: &RunRecord, look: Look) -> String {
    let rows: Vec<_> = facts::critical_path(record)
        .into_iter()
        .map(|part| (part.name, format!("{} ({})", part.elapsed, part.share)))
        .collect();
    self::rows("Critical path of the restore", &rows, look)
}

fn rows(title: &str, rows: &[(String, String)], look: Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let lines = rows
        .iter()
        .map(|(name, value)| vec![Cell::new(clean(name)), Cell::new(clean(value))])
        .collect();
    titled(title, &(cell_table(lines, look) + "\n"), look)
}

fn bullets(title: &str, lines: &[String], look: Look) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines
        .iter()
        .map(|line| vec![Cell::new(clean(line))])
        .collect();
    titled(title, &(cell_table(lines, look) + "\n"), look)
}

fn titled(title: &str, body: &str, look: Look) -> String {
    if look.colour {
        format!("\u{1b}[1m{title}\u{1b}[0m\n{body}")
    } else {
        format!("{title}\n{body}")
    }
}

/// A cell in the colour of its tone.
pub(super) fn toned(text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(text).add_attribute(Attribute::Bold);
    match tone {
        Tone::Good => cell.fg(Color::Green),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Unknown => cell.fg(Color::Yellow),
        Tone::Neutral => cell,
    }
}

/// Without control characters: a name from a database must not be able to
/// drive the reader's terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cell_table(lines: Vec<Vec<Cell>>, look: Look) -> String {
    let mut table = plain_table(look);
    table.add_rows(lines);
    trimmed(&table)
}

/// A table without lines that fits the look.
pub(super) fn plain_table(look: Look) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(look.width.max(40));
    if look.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// The table's text without blanks at the ends of lines.
pub(super) fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}
