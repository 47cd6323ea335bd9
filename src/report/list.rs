//! Many runs, one line each.

use comfy_table::Cell;

use super::{
    facts, format,
    text::{Screen, clean, plain_table, toned, trimmed},
    words,
    words::Tone,
};
use crate::domain::{objective::Measured, record::RunRecord, verdict::Cleanup};

/// The table of `lifeboat runs`, in the given order.
#[must_use]
pub fn runs(records: &[RunRecord], screen: Screen) -> String {
    if records.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut table = plain_table(screen);
    table.set_header([
        "RUN",
        "DRILL",
        "STARTED",
        "VERDICT",
        "RTO measured/target",
        "RPO measured/target",
        "PROOF",
        "CLEANUP",
    ]);
    table.add_rows(records.iter().map(line));
    trimmed(&table) + "\n"
}

fn line(record: &RunRecord) -> Vec<Cell> {
    let (verdict, tone) = words::verdict(record.verdict);
    let (cleanup, cleanup_tone) = match record.cleanup {
        Cleanup::Pending => ("PENDING", Tone::Unknown),
        Cleanup::Clean => ("clean", Tone::Neutral),
        Cleanup::Leaked { .. } => ("LEAKED", Tone::Bad),
    };
    vec![
        Cell::new(short_id(record)),
        Cell::new(clean(&record.drill)),
        Cell::new(format::timestamp(record.requested_at)),
        toned(verdict, tone),
        objective(&record.rto),
        objective(&record.rpo.objective),
        Cell::new(record.proof.name()),
        toned(cleanup, cleanup_tone),
    ]
}

/// The end of the id: ids of the same minute begin alike.
fn short_id(record: &RunRecord) -> String {
    let id = record.id.to_string();
    id.rsplit('-').next().unwrap_or(&id).to_owned()
}

fn objective(value: &Measured) -> Cell {
    let (_, tone) = words::standing(value.standing);
    let figure = |ms: Option<u64>| ms.map_or("–".to_owned(), format::duration_ms);
    let measured = match (value.measured_ms, value.target_ms) {
        (Some(measured), Some(target)) => format::beside(measured, target),
        (measured, _) => figure(measured),
    };
    let text = format!("{measured} / {}", figure(value.target_ms));
    toned(&text, tone)
}

/// One line for the end of a run: verdict and what was measured.
#[must_use]
pub fn one_line(record: &RunRecord) -> String {
    let (verdict, _) = words::verdict(record.verdict);
    let rto = facts::measured(&record.rto);
    format!("{verdict} {}: recovery time {rto}", clean(&record.drill))
}
