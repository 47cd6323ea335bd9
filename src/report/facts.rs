//! What a reader wants to know of a run, in words: shared by text and HTML.

use super::{format, words, words::Tone};
use crate::domain::{
    check::Proof,
    objective::{Measured, RecoveryPointMeasured},
    record::{Profile, RecoveryPointSummary, RestoreFacts, RunRecord, SourceFacts},
    recovery_point::{Artifact, Ownership},
    verdict::{Cleanup, Progress},
};

/// One headline fact: a state, the figure, and what belongs to it.
#[derive(Debug, Clone)]
pub struct Headline {
    pub label: &'static str,
    pub tone: Tone,
    /// The state in one or two words.
    pub state: String,
    /// The figure, measured and target told apart.
    pub value: String,
    pub details: Vec<String>,
}

/// A titled list of named facts.
#[derive(Debug, Clone)]
pub struct Section {
    pub title: &'static str,
    pub rows: Vec<(String, String)>,
}

/// The headlines, most important first.
#[must_use]
pub fn headlines(record: &RunRecord) -> Vec<Headline> {
    let mut all = vec![rto(record), rpo(&record.rpo), proof(record)];
    all.push(lost_writes(record));
    all.push(cleanup(&record.cleanup));
    all
}

/// How far the forward pass got.
#[must_use]
pub fn progress(record: &RunRecord) -> String {
    let far = match record.progress {
        Progress::Complete => "every step was done".to_owned(),
        Progress::EndedIn(step) => format!("ended in step {step}"),
        Progress::NotStarted => "no step was begun".to_owned(),
    };
    if record.interrupted {
        format!("{far}; interrupted: the process that ran it died")
    } else {
        far
    }
}

/// Measured and target, each by its name.
#[must_use]
pub fn measured(value: &Measured) -> String {
    match (value.measured_ms, value.target_ms) {
        (Some(measured), Some(target)) => format!(
            "measured {}, target {}",
            format::beside(measured, target),
            format::duration_ms(target)
        ),
        (Some(measured), None) => format!("measured {}, no target", format::duration_ms(measured)),
        (None, Some(target)) => format!("not measured, target {}", format::duration_ms(target)),
        (None, None) => "not measured, no target".to_owned(),
    }
}

fn objective(label: &'static str, value: &Measured) -> Headline {
    let (state, tone) = match (value.measured_ms, words::standing(value.standing)) {
        // Without a measurement there is nothing to call neutral.
        (None, _) => ("UNTESTED", Tone::Unknown),
        (Some(_), told) => told,
    };
    Headline {
        label,
        tone,
        state: state.to_owned(),
        value: measured(value),
        details: value.note.iter().cloned().collect(),
    }
}

fn rto(record: &RunRecord) -> Headline {
    match record.profile {
        Profile::Production => objective("RTO", &record.rto),
        // Accelerated: a time, but never an RTO.
        Profile::FastValidate => objective("Restore time", &record.rto),
    }
}

/// A fresh recovery point has a measured age of its own, but what is held
/// against the target is derived: that is told as the worst case.
fn rpo(rpo: &RecoveryPointMeasured) -> Headline {
    let mut headline = objective("RPO", &rpo.objective);
    let derived = rpo.capture_lag_ms.is_some();
    match (rpo.objective.measured_ms, rpo.basis) {
        (Some(_), _) if derived => {
            headline.value = headline.value.replacen("measured", "worst case", 1);
        }
        (Some(_), Some(basis)) => {
            headline.value = format!("{} (basis {})", headline.value, basis.name());
        }
        _ => {}
    }
    headline.details.extend(rpo.figures.iter().map(|figure| {
        format!(
            "{}: newest write {} before declared ({})",
            figure.basis.name(),
            format::duration_ms(figure.age_ms),
            format::timestamp(figure.newest)
        )
    }));
    headline.details.extend(lag(rpo));
    headline
}

fn lag(rpo: &RecoveryPointMeasured) -> Vec<String> {
    let lag = rpo.capture_lag_ms.map(format::duration_ms);
    let interval = rpo.backup_interval_ms.map(format::duration_ms);
    let worst = rpo.worst_case_ms.map(format::duration_ms);
    [
        lag.map(|lag| format!("capture lag {lag}")),
        interval.map(|every| format!("backups every {every}, as the drill states")),
        worst.map(|worst| format!("worst case {worst}: backup interval plus capture lag")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn proof(record: &RunRecord) -> Headline {
    let tone = match record.proof {
        Proof::Exact | Proof::Canary => Tone::Good,
        Proof::Structural | Proof::Asserted => Tone::Neutral,
        Proof::None => Tone::Unknown,
    };
    Headline {
        label: "Proof",
        tone,
        state: record.proof.name().to_owned(),
        value: words::proof(record.proof).to_owned(),
        details: Vec::new(),
    }
}

fn lost_writes(record: &RunRecord) -> Headline {
    let of = record
        .canary
        .as_ref()
        .map(|canary| format!(" of {}", format::count(canary.acknowledged)))
        .unwrap_or_default();
    let (tone, state, value) = match record.rpo.acknowledged_writes_lost {
        Some(0) => (
            Tone::Good,
            "none",
            format!("0{of} acknowledged writes lost"),
        ),
        Some(lost) => {
            let lost = format::count(lost);
            (
                Tone::Bad,
                "LOST",
                format!("{lost}{of} acknowledged writes lost"),
            )
        }
        None => {
            let why = "no canary writes were compared".to_owned();
            (Tone::Unknown, "UNTESTED", why)
        }
    };
    Headline {
        label: "Acknowledged writes",
        tone,
        state: state.to_owned(),
        value,
        details: Vec::new(),
    }
}

fn cleanup(cleanup: &Cleanup) -> Headline {
    let (tone, state, value, details) = match cleanup {
        Cleanup::Pending => (Tone::Unknown, "PENDING", "not yet done", Vec::new()),
        Cleanup::Clean => (Tone::Good, "clean", "nothing is left behind", Vec::new()),
        Cleanup::Elsewhere { host } => (
            Tone::Unknown,
            "NOT SEEN",
            "what is on another machine is removed by a sweep there",
            vec![format!("directories on {host}")],
        ),
        Cleanup::Leaked { resources } => {
            let leaks = resources
                .iter()
                .map(|leak| format!("{}: {}", leak.resource.key(), leak.reason))
                .collect();
            let value = "could not be removed; the sweeper keeps at it";
            (Tone::Bad, "LEAKED", value, leaks)
        }
    };
    Headline {
        label: "Cleanup",
        tone,
        state: state.to_owned(),
        value: value.to_owned(),
        details,
    }
}

/// Source, recovery point and restore, as far as they are known.
#[must_use]
pub fn sections(record: &RunRecord) -> Vec<Section> {
    let source = record.source.as_ref().map(source);
    let point = record.recovery_point.as_ref().map(recovery_point);
    let restore = record.restore.as_ref().map(restore);
    [source, point, restore].into_iter().flatten().collect()
}

fn row(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn source(facts: &SourceFacts) -> Section {
    let mut rows = vec![
        row("location", &facts.location),
        row("version", &facts.version),
        row("size", format::bytes(facts.size_bytes)),
        row("clock skew", format!("{} ms", facts.clock_skew_ms)),
    ];
    rows.extend(facts.details.iter().map(|(n, v)| row(n, v)));
    rows.extend(facts.settings.iter().map(|(n, v)| row(n, v)));
    Section {
        title: "Source",
        rows,
    }
}

fn recovery_point(point: &RecoveryPointSummary) -> Section {
    let kind = match &point.artifact {
        Artifact::LogicalDump { format, .. } => format!("logical dump, {format}"),
        Artifact::StoredDump { format, .. } => format!("logical dump in a bucket, {format}"),
        Artifact::PhysicalBackup { .. } => "physical backup".to_owned(),
        Artifact::Volumes { .. } => "volume snapshots".to_owned(),
    };
    let owner = match point.ownership {
        Ownership::Ours => "fresh, made by this run",
        Ownership::Borrowed => "existing, borrowed: left as it was found",
    };
    let cut_at = point.cut.at.map_or("unknown".to_owned(), format::timestamp);
    let cut = format!("{cut_at} ({})", words::cut_basis(point.cut.basis));
    let mut rows = vec![
        row("kind", kind),
        row("ownership", owner),
        row("path", point.artifact.location()),
        row("cut", cut),
        row("size", format::bytes(point.size_bytes)),
    ];
    let newest = point.cut.newest_commit.map(format::timestamp);
    let optional = [
        ("position", point.cut.position.clone()),
        ("newest commit", newest),
        ("producer", point.producer.clone()),
        ("source version", point.source_version.clone()),
        ("tables", point.tables.map(format::count)),
        ("rows", point.rows.map(format::count)),
    ];
    let known = optional.into_iter().filter_map(|(n, v)| Some(row(n, v?)));
    rows.extend(known);
    Section {
        title: "Recovery point",
        rows,
    }
}

fn restore(facts: &RestoreFacts) -> Section {
    let part = |closed| if closed { "closed" } else { "OPEN" };
    // Not more than was tried.
    let network = if facts.fence.network && !facts.fence.untested.is_empty() {
        "closed as far as tried"
    } else {
        part(facts.fence.network)
    };
    let fence = format!("network {network}, files {}", part(facts.fence.files));
    let mut rows = vec![
        row("version", &facts.engine_version),
        row("size", format::bytes(facts.size_bytes)),
        row("fence", fence),
    ];
    rows.extend(facts.fence.attempts.iter().map(|attempt| {
        let end = if attempt.prevented {
            "prevented"
        } else {
            "POSSIBLE"
        };
        let from = attempt.from.as_ref();
        let from = from.map_or_else(String::new, |pod| format!("{pod}: "));
        row(
            "tried from inside",
            format!("{from}{}: {end} ({})", attempt.what, attempt.how),
        )
    }));
    let untested = facts.fence.untested.iter();
    rows.extend(untested.map(|why| row("untested from inside", why)));
    rows.extend(facts.fence.notes.iter().map(|note| row("", note)));
    let changed = facts.settings_changed.iter();
    rows.extend(changed.map(|change| row("differs from source", change)));
    rows.extend(facts.settings.iter().map(|(n, v)| row(n, v)));
    Section {
        title: "Restore",
        rows,
    }
}

/// One part of the restore with its share of the whole, in percent.
#[derive(Debug, Clone)]
pub struct Share {
    pub name: String,
    pub elapsed: String,
    pub percent: u64,
    /// In words: `71 %`, `under 1 %`.
    pub share: String,
}

/// The critical path. Parts may run side by side, so each share is of the
/// time from `declared` to `serving`, or of the longest part where that is
/// not known, and is never above 100.
#[must_use]
pub fn critical_path(record: &RunRecord) -> Vec<Share> {
    let phases = record.restore.as_ref().map(|r| r.critical_path.as_slice());
    let phases = phases.unwrap_or_default();
    let longest = phases.iter().map(|p| p.elapsed_ms).max().unwrap_or(0);
    let whole = record.rto.measured_ms.unwrap_or(longest).max(1);
    let share = |ms: u64| (ms.saturating_mul(100) / whole).min(100);
    phases
        .iter()
        .map(|phase| Share {
            name: phase.name.clone(),
            elapsed: format::duration_ms(phase.elapsed_ms),
            percent: share(phase.elapsed_ms),
            share: match share(phase.elapsed_ms) {
                0 => "under 1 %".to_owned(),
                percent => format!("{percent} %"),
            },
        })
        .collect()
}
