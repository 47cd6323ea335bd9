//! Events of a cluster, about workloads whose drills have ended.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{failure::Failure, record::RunRecord, resource::WorkloadRef, verdict::Verdict};

/// The API server takes no longer notes; in bytes.
const LONGEST_NOTE: usize = 1024;

/// Something to be written about a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for the same run: written twice, there is one.
    pub name: String,
    /// Whether nobody needs to look.
    pub normal: bool,
    pub reason: &'static str,
    pub note: String,
    pub at: Timestamp,
}

/// Writes Events where workloads are.
#[async_trait]
pub trait Events: Send + Sync {
    /// Writes one, unless it is there already.
    ///
    /// # Errors
    /// If the cluster does not take it, or there is no such workload.
    async fn write(&self, about: &WorkloadRef, event: &Event) -> Result<(), Failure>;
}

impl Event {
    /// What is written of a run, in words of the target.
    #[must_use]
    pub fn of(record: &RunRecord, text: &str, now: Timestamp) -> Self {
        let verdict = record.verdict.unwrap_or(Verdict::Inconclusive);
        Self {
            name: format!("lifeboat-{}", record.id),
            normal: verdict == Verdict::Passed,
            reason: match verdict {
                Verdict::Passed => "DrillPassed",
                Verdict::Failed => "DrillFailed",
                Verdict::Inconclusive => "DrillInconclusive",
            },
            note: cut(text),
            at: now,
        }
    }
}

/// As much of a text as a note may hold.
fn cut(text: &str) -> String {
    const MORE: &str = "…";
    if text.len() <= LONGEST_NOTE {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST_NOTE - MORE.len());
    format!("{}{MORE}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;

    #[test]
    fn a_note_is_cut_between_letters() {
        for (text, length) in [
            ("x".repeat(1024), 1024),
            ("x".repeat(1025), 1024),
            (format!("x{}", "ü".repeat(512)), 1022 + 2),
            ("€".repeat(1000), 1023),
        ] {
            let note = cut(&text);
            assert_eq!(note.len(), length, "{note}");
            assert_eq!(note.ends_with('…'), text.len() > 1024);
        }
    }

    #[test]
    fn only_what_passed_is_normal() {
        let at = Timestamp::UNIX_EPOCH;
        let mut record = RunRecord::requested(RunId::new(at), "shop", "postgresql", at);
        for (verdict, normal, reason) in [
            (Verdict::Passed, true, "DrillPassed"),
            (Verdict::Failed, false, "DrillFailed"),
            (Verdict::Inconclusive, false, "DrillInconclusive"),
        ] {
            record.verdict = Some(verdict);
            let event = Event::of(&record, "so it was", at);
            assert_eq!((event.normal, event.reason), (normal, reason));
            assert_eq!(event.name, format!("lifeboat-{}", record.id));
        }
    }
}
