//! Many runs, one line each.

use comfy_table::Cell;

use super::{
    format,
    text::{Look, clean, plain_table, toned, trimmed},
    words,
    words::Tone,
};
use crate::domain::{objective::Measured, record::RunRecord, verdict::Cleanup};

/// The table of `lifeboat runs`, in the given order.
#[must_use]
pub fn runs(records: &[RunRecord], look: Look) -> String {
    if records.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut table = plain_table(look);
    table.set_header([
        "RUN",
        "DRILL",
        "STARTED",
        "VERDICT",
        "RTO measured/target",
        "RPO/target",
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
        Cleanup::Elsewhere { .. } => ("NOT SEEN", Tone::Unknown),
        Cleanup::Leaked { .. } => ("LEAKED", Tone::Bad),
    };
    // For a fresh recovery point, not measured but derived as the worst case.
    let derived = record.rpo.capture_lag_ms.map_or("", |_| "≤ ");
    vec![
        Cell::new(short_id(record)),
        Cell::new(clean(&record.drill)),
        Cell::new(format::timestamp(record.requested_at)),
        toned(verdict, tone),
        objective(&record.rto, ""),
        objective(&record.rpo.objective, derived),
        Cell::new(record.proof.name()),
        toned(cleanup, cleanup_tone),
    ]
}

/// The end of the id: ids of the same minute begin alike.
fn short_id(record: &RunRecord) -> String {
    let id = record.id.to_string();
    id.rsplit('-').next().unwrap_or(&id).to_owned()
}

fn objective(value: &Measured, sign: &str) -> Cell {
    let (_, tone) = words::standing(value.standing);
    let figure = |ms: Option<u64>| ms.map_or("–".to_owned(), format::duration_ms);
    let measured = match (value.measured_ms, value.target_ms) {
        (Some(measured), Some(target)) => {
            format!("{sign}{}", format::beside(measured, target))
        }
        (Some(measured), None) => format!("{sign}{}", format::duration_ms(measured)),
        (None, _) => figure(None),
    };
    let text = format!("{measured} / {}", figure(value.target_ms));
    toned(&text, tone)
}
