//! Every metric there is: what registers them and what documents them reads the
//! same table.

use std::fmt::Write as _;

/// A metric as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    let kind = Kind::Gauge;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    let kind = Kind::Counter;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    let kind = Kind::Histogram;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const DRILL: &[&str] = &["drill"];

pub const INFO: Metric = gauge("lifeboat_build_info", &["version"], "Always 1.");
pub const DRILLS: Metric = gauge("lifeboat_drills", &[], "Drills that the service keeps.");
pub const BROKEN: Metric = gauge(
    "lifeboat_drill_files_broken",
    &[],
    "Drill files that cannot be used; each keeps what it said before.",
);
pub const RUNNING: Metric = gauge(
    "lifeboat_runs_running",
    &[],
    "Runs that go on in this process.",
);
pub const WAITING: Metric = gauge(
    "lifeboat_runs_waiting",
    &[],
    "Runs that wait in this process for room in a budget.",
);
pub const NEXT: Metric = gauge(
    "lifeboat_drill_next_start_timestamp_seconds",
    DRILL,
    "When the drill starts next by its schedule.",
);
pub const INTERVAL: Metric = gauge(
    "lifeboat_drill_interval_seconds",
    DRILL,
    "The longest time between two starts by the drill's schedule, what its weekly blackouts cover included; after each \
     backup, the backup interval that the drill says and two looks. Absent where nothing starts by itself, or nobody \
     says how often backups are made.",
);
pub const SUSPENDED: Metric = gauge(
    "lifeboat_drill_suspended",
    DRILL,
    "1 if the drill's schedule is suspended.",
);
pub const RTO: Metric = gauge(
    "lifeboat_drill_rto_seconds",
    DRILL,
    "Recovery time measured by the newest run that measured one.",
);
pub const RTO_TARGET: Metric = gauge(
    "lifeboat_drill_rto_target_seconds",
    DRILL,
    "The drill's target for the recovery time.",
);
pub const RPO: Metric = gauge(
    "lifeboat_drill_rpo_seconds",
    DRILL,
    "Age of the newest restored write, measured by the newest run that measured one; for a fresh \
     recovery point the worst case that follows from the interval between backups.",
);
pub const RPO_TARGET: Metric = gauge(
    "lifeboat_drill_rpo_target_seconds",
    DRILL,
    "The drill's target for the recovery point.",
);
pub const RTOS: Metric = histogram("lifeboat_rto_seconds", DRILL, "Recovery times of all runs.");
pub const RPOS: Metric = histogram(
    "lifeboat_rpo_seconds",
    DRILL,
    "Recovery points of all runs.",
);
pub const RUNS: Metric = counter(
    "lifeboat_runs_total",
    &["drill", "verdict"],
    "Runs by verdict, negative controls aside.",
);
pub const VERDICT: Metric = gauge(
    "lifeboat_drill_verdict",
    &["drill", "verdict"],
    "1 for the verdict of the newest run, 0 for the others.",
);
pub const LAST_RUN: Metric = gauge(
    "lifeboat_drill_last_run_timestamp_seconds",
    DRILL,
    "When the newest run was requested.",
);
pub const LAST_SUCCESS: Metric = gauge(
    "lifeboat_drill_last_success_timestamp_seconds",
    DRILL,
    "When the newest run that passed was requested; 0 if none ever did.",
);
pub const SINCE: Metric = gauge(
    "lifeboat_drill_known_since_timestamp_seconds",
    DRILL,
    "Since when the drill is known: since it was in the metrics of any replica for the first time.",
);
pub const PROOF: Metric = gauge(
    "lifeboat_drill_proof_level",
    DRILL,
    "Strongest proof of data that the newest run reached: 0 none, 1 asserted, 2 structural, 3 canary, \
     4 exact.",
);
pub const LOST: Metric = gauge(
    "lifeboat_drill_acknowledged_writes_lost",
    DRILL,
    "Acknowledged writes of the canary that the newest run did not find in the copy.",
);
pub const CHECKS: Metric = gauge(
    "lifeboat_drill_checks",
    &["drill", "result"],
    "Checks of the newest run by result: pass, fail, untested.",
);
pub const PHASES: Metric = gauge(
    "lifeboat_drill_phase_seconds",
    &["drill", "phase"],
    "How long each step of the newest run took; of one that another process took up, with the time in between.",
);
pub const LEAKED: Metric = gauge(
    "lifeboat_leaked_resources",
    DRILL,
    "Resources of runs that could not be removed yet.",
);
pub const ERRORS: Metric = counter(
    "lifeboat_history_errors_total",
    &[],
    "Scrapes for which the history could not be read: what stands there was told as it was last read.",
);
pub const NOTIFIED: Metric = counter(
    "lifeboat_notifications_total",
    &["target", "outcome"],
    "Notices that this process tried to send: sent, skipped (not for this target), failed (to be tried \
     again) or given_up.",
);
pub const SWEPT: Metric = gauge(
    "lifeboat_last_sweep_timestamp_seconds",
    &[],
    "When the last sweep of this process ended.",
);
pub const SWEEP_LEAKS: Metric = gauge(
    "lifeboat_sweep_leaks",
    &[],
    "What the last sweep could not remove.",
);
pub const SWEEP_UNSEEN: Metric = gauge(
    "lifeboat_sweep_places_unseen",
    &[],
    "Places that the last sweep could not look at.",
);
pub const SWEPT_AWAY: Metric = counter(
    "lifeboat_sweep_removed_total",
    &[],
    "What sweeps of this process removed, as no run owned it.",
);

pub const LAG: Metric = histogram(
    "lifeboat_start_lag_seconds",
    &[],
    "How long after they were due runs of schedules began, budgets included.",
);

pub const HELD_UP: Metric = histogram(
    "lifeboat_budget_wait_seconds",
    &["limit"],
    "How long runs waited before they began, by the first limit that left no room for them: \
     `runs`, `per source`, `per namespace`, `per storage class`.",
);
pub const ANSWERS: Metric = histogram(
    "lifeboat_history_seconds",
    &["operation"],
    "How long the history took to answer: `read` or `write`, waiting for others included.",
);
pub const REQUESTS: Metric = counter(
    "lifeboat_kubernetes_requests_total",
    &[],
    "Requests that were sent to API servers of Kubernetes, repeated ones included.",
);

pub const FOUND: Metric = gauge(
    "lifeboat_drill_backup_found",
    DRILL,
    "Whether the last look for a new backup has found any; of drills that run after each backup.",
);

pub const CATCHING_UP: Metric = gauge(
    "lifeboat_history_catching_up",
    &[],
    "1 while runs that an older version concluded are not all counted, as after an update; or where some \
     cannot be, as a newer version knows how to. Histograms and numbers of runs, and last successes that are \
     not known, are left out while they are being counted. The newest runs are counted first.",
);

/// All of them, in the order in which they are documented.
pub const METRICS: [Metric; 36] = [
    INFO,
    DRILLS,
    BROKEN,
    RUNNING,
    WAITING,
    NEXT,
    INTERVAL,
    SUSPENDED,
    RTO,
    RTO_TARGET,
    RPO,
    RPO_TARGET,
    RTOS,
    RPOS,
    RUNS,
    VERDICT,
    LAST_RUN,
    LAST_SUCCESS,
    SINCE,
    PROOF,
    LOST,
    CHECKS,
    PHASES,
    LEAKED,
    CATCHING_UP,
    ERRORS,
    NOTIFIED,
    SWEPT,
    SWEEP_LEAKS,
    SWEEP_UNSEEN,
    SWEPT_AWAY,
    LAG,
    HELD_UP,
    ANSWERS,
    REQUESTS,
    FOUND,
];

/// The page `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = "# Metrics\n\n`GET /metrics`. This page is written by a test from \
        `src/metrics/names.rs`.\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for Metric {
        name,
        kind,
        labels,
        help,
    } in METRICS
    {
        let labels = labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect::<Vec<_>>();
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {help} |",
            kind.name(),
            labels.join(", ")
        );
    }
    page
}
