//! Metrics are those of the history, whoever tells them and since when.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    domain::{
        budget::Demand,
        check::Outcome,
        ids::RunId,
        objective::Measured,
        record::RunRecord,
        resource::Resource,
        verdict::{Cleanup, Leak, Verdict},
    },
    history::memory::MemoryHistory,
    metrics::{Board, Kept, Meters, Scene},
    runner::store::{RunStore, Write},
    spec::{self, packed::PackedDrill},
};

use crate::support::{records::failed, stage::owner};

const BEGIN: &str = "2026-05-01T12:00:00Z";

fn at(minutes: i64) -> Timestamp {
    BEGIN.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn board() -> Board {
    board_of(&meters())
}

fn board_of(meters: &Arc<Meters>) -> Board {
    Board::new(Arc::default(), meters.clone())
}

/// Of a process that has all runs counted.
fn meters() -> Arc<Meters> {
    let meters = Meters::new(Arc::default()).unwrap();
    meters.held_up("runs", Duration::from_secs(7));
    meters.caught_up(false, false);
    Arc::new(meters)
}

fn drill(name: &str) -> PackedDrill {
    let text = format!(
        "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\n\
         spec: {{ workload: {{ sqlite: {{ file: a.db }} }}, objectives: {{ rto: 5m }} }}\n"
    );
    let drill = spec::parse(&text, std::path::Path::new("/drills/a.yaml")).unwrap();
    PackedDrill::new(&drill).unwrap()
}

fn left() -> Leak {
    Leak {
        resource: Resource::Directory {
            path: "/scratch/a".into(),
        },
        reason: "busy".to_owned(),
    }
}

/// A run that is requested at a minute and concluded at another one. One that
/// is inconclusive leaves something behind.
async fn run(
    history: &MemoryHistory,
    drill: &str,
    requested: i64,
    concluded: i64,
    verdict: Verdict,
) {
    let mut record =
        RunRecord::requested(RunId::new(at(requested)), drill, "sqlite", at(requested));
    let demand = Demand::unlimited(Vec::new());
    let claim = history.begin(&record, &owner(), &demand).await.unwrap();
    record.verdict = Some(verdict);
    record.cleanup = match verdict {
        Verdict::Inconclusive => Cleanup::Leaked {
            resources: vec![left()],
        },
        _ => Cleanup::Clean,
    };
    record.rto = Measured {
        measured_ms: Some(1_000 * u64::try_from(requested + 1).unwrap()),
        ..Measured::default()
    };
    let writes = [Write::Record(&record)];
    history.write(&claim, at(concluded), &writes).await.unwrap();
}

async fn page(board: &Board, history: &MemoryHistory, drills: &[PackedDrill]) -> String {
    let kept = drills.iter().map(|drill| Kept {
        drill: Arc::new(drill.clone()),
        starts_at: None,
        found: None,
    });
    let scene = Scene {
        drills: kept.collect(),
        broken: 0,
        running: 0,
        waiting: 0,
        sweep: None,
    };
    let page = board.page(history, scene, at(0)).await.unwrap();
    let parts = (0..).map_while(|number| page.part(number));
    let all: Vec<u8> = parts.flat_map(Result::unwrap).collect();
    String::from_utf8(all).unwrap()
}

/// As it stands there.
fn value(page: &str, series: &str) -> String {
    let found = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {series} in {page}"))
        .to_owned()
}

#[tokio::test]
async fn each_run_counts_once_whenever_it_is_seen() {
    let history = MemoryHistory::default();
    let drills = [drill("a"), drill("b")];
    let old = board();
    run(&history, "a", 0, 1, Verdict::Passed).await;
    page(&old, &history, &drills[..1]).await;
    // One that another replica concluded earlier is seen later.
    run(&history, "a", 2, 20, Verdict::Failed).await;
    page(&old, &history, &drills).await;
    run(&history, "a", 3, 18, Verdict::Passed).await;
    run(&history, "b", 4, 21, Verdict::Inconclusive).await;
    let told = page(&old, &history, &drills).await;
    let runs = |drill: &str, verdict: &str| {
        value(
            &told,
            &format!("lifeboat_runs_total{{drill=\"{drill}\",verdict=\"{verdict}\"}}"),
        )
    };
    assert_eq!(
        (runs("a", "passed"), runs("a", "failed")),
        ("2".to_owned(), "1".to_owned())
    );
    assert_eq!(
        (runs("b", "inconclusive"), runs("b", "passed")),
        ("1".to_owned(), "0".to_owned())
    );
    // The newest run is the one that was requested last.
    assert_eq!(value(&told, "lifeboat_drill_rto_seconds{drill=\"a\"}"), "4");
    assert_eq!(value(&told, "lifeboat_rto_seconds_sum{drill=\"a\"}"), "8");
    let waits = "lifeboat_budget_wait_seconds_sum{limit=\"runs\"}";
    assert_eq!(value(&told, waits), "7");
    assert_eq!(
        value(&told, "lifeboat_drill_rto_target_seconds{drill=\"b\"}"),
        "300"
    );
    // Asked again, and for a process that has just begun, it is the same.
    let later = page(&old, &history, &drills).await;
    let new = board();
    assert_eq!(page(&new, &history, &drills).await, later);
    assert_eq!(later, told);
}

#[tokio::test]
async fn what_the_newest_run_shows_is_told() {
    let history = MemoryHistory::default();
    let mut record = failed();
    record.drill = "a".to_owned();
    record.checks[1].outcome = Outcome::Untested;
    let begun = RunRecord::requested(record.id, "a", "postgresql", record.requested_at);
    let demand = Demand::unlimited(Vec::new());
    let claim = history.begin(&begun, &owner(), &demand).await.unwrap();
    let writes = [Write::Record(&record)];
    history.write(&claim, at(1), &writes).await.unwrap();
    let told = page(&board(), &history, &[drill("a")]).await;
    for (name, labels, wanted) in [
        ("drill_rto_seconds", "", 12.34),
        ("drill_rto_target_seconds", "", 300.0),
        ("drill_rpo_seconds", "", 3_004.958),
        ("drill_proof_level", "", 2.0),
        ("drill_acknowledged_writes_lost", "", 1.0),
        ("drill_checks", ",result=\"pass\"", 2.0),
        ("drill_checks", ",result=\"fail\"", 1.0),
        ("drill_checks", ",result=\"untested\"", 2.0),
        ("drill_phase_seconds", ",phase=\"restore\"", 11.269),
        ("drill_phase_seconds", ",phase=\"capture\"", 5.018),
        ("drill_verdict", ",verdict=\"failed\"", 1.0),
        ("drill_verdict", ",verdict=\"passed\"", 0.0),
        ("drill_last_success_timestamp_seconds", "", 0.0),
        ("runs_total", ",verdict=\"failed\"", 1.0),
    ] {
        let series = format!("lifeboat_{name}{{drill=\"a\"{labels}}}");
        let found: f64 = value(&told, &series).parse().unwrap();
        assert!((found - wanted).abs() < 1e-9, "{series}: {found}");
    }
    let last: f64 = value(
        &told,
        "lifeboat_drill_last_run_timestamp_seconds{drill=\"a\"}",
    )
    .parse()
    .unwrap();
    let requested = record.requested_at.as_second();
    assert_eq!(last.to_string(), requested.to_string());
}

#[tokio::test]
async fn a_drill_that_comes_back_has_all_its_runs() {
    let history = MemoryHistory::default();
    let drills = [drill("a"), drill("b")];
    let board = board();
    run(&history, "a", 0, 1, Verdict::Passed).await;
    let first = page(&board, &history, &drills).await;
    let without = page(&board, &history, &drills[1..]).await;
    assert!(!without.contains("drill=\"a\""), "{without}");
    assert_eq!(page(&board, &history, &drills).await, first);
}

#[tokio::test]
async fn what_is_left_is_told_of_drills_that_are_gone_too() {
    let history = MemoryHistory::default();
    let drills = [drill("a")];
    for minute in [0, 2] {
        run(&history, "gone", minute, minute + 1, Verdict::Inconclusive).await;
    }
    let told = page(&board(), &history, &drills).await;
    let left = |drill: &str| {
        value(
            &told,
            &format!("lifeboat_leaked_resources{{drill=\"{drill}\"}}"),
        )
    };
    assert_eq!((left("a"), left("gone")), ("0".to_owned(), "2".to_owned()));
    // Each metric is introduced once, and nothing else of the drill is told.
    let introduced: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let unlike: BTreeSet<&&str> = introduced.iter().collect();
    assert_eq!(introduced.len(), unlike.len(), "{introduced:?}");
    assert_eq!(told.matches("drill=\"gone\"").count(), 1, "{told}");
}

/// What would seem to fall, and to rise at once, is not told.
#[tokio::test]
async fn what_is_not_all_counted_is_left_out() {
    let history = MemoryHistory::default();
    let drills = [drill("a"), drill("b")];
    run(&history, "a", 0, 1, Verdict::Failed).await;
    let meters = meters();
    let board = board_of(&meters);
    let sums = [
        "lifeboat_runs_total{drill=\"a\"",
        "lifeboat_drill_last_success_timestamp_seconds{drill=\"b\"",
    ];
    for behind in [true, false] {
        meters.caught_up(behind, false);
        let told = page(&board, &history, &drills).await;
        for series in sums {
            assert_eq!(told.contains(series), !behind, "{series}: {told}");
        }
        // How the newest run went is known.
        let verdict = "lifeboat_drill_verdict{drill=\"a\",verdict=\"failed\"}";
        assert_eq!(value(&told, verdict), "1");
        let catching = value(&told, "lifeboat_history_catching_up");
        assert_eq!(catching, u8::from(behind).to_string());
    }
}
