//! Runs that an older version concluded are counted later, and once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifeboat::{
    domain::{
        budget::Demand, ids::RunId, journal::Entry, record::RunRecord, tally::Tally,
        verdict::Verdict,
    },
    history::{
        Filter, Queries,
        retention::Retention,
        sql::SqlHistory,
        tallies::{Changed, Followed, Tallies, Trend},
    },
    runner::store::{Claim, RunStore, Write},
};

use crate::support::{postgres::SERVER, stage::owner};

/// Does statements in a history, beside it.
type Do<'a> = &'a (dyn Fn(&str) + Sync);

/// What an older version leaves.
const UNCOUNTED: &str = "delete from tallies; \
    update runs set proof = null, rto_ms = null, rpo_ms = null, namespace = null;";

const DRILLS: [&str; 3] = ["a", "b", "c"];

async fn begun(history: &SqlHistory, drill: &str, second: u32) -> (Claim, RunRecord) {
    let at = Timestamp::from_second(1_800_000_000 + i64::from(second)).unwrap();
    let mut record = RunRecord::requested(RunId::new(at), drill, "sqlite", at);
    record.rto.measured_ms = Some(u64::from(second) * 1_000);
    let demand = Demand::unlimited(Vec::new());
    let claim = history.begin(&record, &owner(), &demand).await.unwrap();
    (claim, record)
}

async fn conclude(history: &SqlHistory, claim: &Claim, record: &mut RunRecord, ends: bool) {
    let second = record.rto.measured_ms.unwrap() / 1_000;
    record.verdict = Some(Verdict::ALL[usize::try_from(second % 3).unwrap()]);
    record.finished_at = ends.then_some(record.requested_at);
    let writes = [Write::Entry(&Entry::Finished), Write::Record(record)];
    let at = record.requested_at;
    history.write(claim, at, &writes).await.unwrap();
}

async fn counted(history: &SqlHistory) -> BTreeMap<String, Tally> {
    let counted = history.tallies(None).await.unwrap();
    whole(counted)
}

/// Those that can be read.
fn whole(counted: Changed) -> BTreeMap<String, Tally> {
    let all = counted.tallies.into_iter();
    all.filter_map(|(drill, tally)| Some((drill, tally?)))
        .collect()
}

/// What all runs add up to.
async fn sums(history: &SqlHistory) -> BTreeMap<String, Tally> {
    let mut sums = BTreeMap::<String, Tally>::new();
    for record in history.list(&Filter::default()).await.unwrap() {
        let tally = sums.entry(record.drill.clone()).or_default();
        tally.add(&record, record.requested_at);
    }
    sums
}

/// Counts what there is to count; gives how many that were.
async fn catch_up(history: &SqlHistory) -> usize {
    in_bites(history).await.0
}

/// The same, in small bites; and how many could not be counted.
async fn in_bites(history: &SqlHistory) -> (usize, usize) {
    let (mut all, mut left, mut until) = (0, 0, None);
    loop {
        let bite = history.catch_up(until, 3).await.unwrap();
        all += bite.runs;
        left += bite.left;
        match bite.next {
            Some(next) => until = Some(next),
            None => return (all, left),
        }
    }
}

async fn trend(history: &SqlHistory, drill: &str) -> Vec<lifeboat::history::tallies::Point> {
    let wanted = Trend {
        drill: drill.to_owned(),
        namespaces: None,
        after: None,
        limit: 100,
    };
    history.trend(&wanted).await.unwrap()
}

async fn older_runs_are_counted_once(history: &SqlHistory, other: &SqlHistory, work: Do<'_>) {
    for second in 0..30 {
        let drill = DRILLS[second as usize % 3];
        let (claim, mut record) = begun(history, drill, second).await;
        conclude(history, &claim, &mut record, true).await;
    }
    let (claim, mut unfinished) = begun(history, "a", 40).await;
    conclude(history, &claim, &mut unfinished, false).await;
    let told = trend(history, "a").await;
    assert_eq!(counted(history).await, sums(history).await);

    work(UNCOUNTED);
    assert_eq!(counted(history).await, BTreeMap::new());
    // Not even old ones are forgotten before.
    let later = Timestamp::from_second(1_900_000_000).unwrap();
    assert_eq!(history.forget(later, 100).await.unwrap().runs, 0);
    assert_eq!(trend(history, "a").await[0].proof, None);
    let ((one, left), (two, others_left), ()) = tokio::join!(
        in_bites(history),
        in_bites(other),
        conclude(other, &claim, &mut unfinished, true)
    );
    assert_eq!(left + others_left, 0, "what another one counts is not left");
    // It may be counted by whoever ends it.
    assert!((30..=31).contains(&(one + two)), "{one} and {two}");
    assert_eq!(counted(history).await, sums(history).await);
    assert_eq!(trend(history, "a").await, told);
    assert_eq!(catch_up(other).await, 0);
    let runs = counted(history).await;
    assert_ne!(history.forget(later, 100).await.unwrap().runs, 0);
    assert_eq!(counted(history).await, runs);
}

/// Neither a run nor a tally that cannot be read is in the way of anything.
async fn what_cannot_be_read_is_passed_over(history: &SqlHistory, work: Do<'_>) {
    let before = counted(history).await;
    let (claim, mut record) = begun(history, "odd", 100).await;
    conclude(history, &claim, &mut record, true).await;
    work(
        "update runs set record = '?', packed = null, proof = null where drill = 'odd'; \
          delete from tallies where drill = 'odd'",
    );
    assert_eq!(catch_up(history).await, 0);
    assert_eq!(trend(history, "odd").await[0].proof, None);
    assert_eq!(counted(history).await, before);

    work("update tallies set tally = '{\"runs\":{\"unheard of\":1}}' where drill = 'b'");
    for second in 101..108 {
        let (claim, mut record) = begun(history, "b", second).await;
        conclude(history, &claim, &mut record, true).await;
    }
    assert_eq!(catch_up(history).await, 0);
    assert_eq!(history.catch_up(None, 100).await.unwrap().left, 7);
    let followed = Followed::default();
    let told = followed.now(history).await.unwrap();
    assert_eq!(
        told.tallies["b"], None,
        "nothing is told of it, and not zero"
    );
    let text = serde_json::to_string(&before["b"]).unwrap();
    work(&format!(
        "update tallies set tally = '{text}' where drill = 'b'"
    ));
    assert_eq!(catch_up(history).await, 7);
    let runs = |tally: &Tally| tally.runs.values().sum::<u64>();
    assert_eq!(runs(&counted(history).await["b"]), runs(&before["b"]) + 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_counts_older_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let history = SqlHistory::in_file(&path).await.unwrap();
    let other = SqlHistory::in_file(&path).await.unwrap();
    let work = |sql: &str| {
        let file = rusqlite::Connection::open(&path).unwrap();
        file.busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        file.execute_batch(sql).unwrap();
    };
    older_runs_are_counted_once(&history, &other, &work).await;
    what_cannot_be_read_is_passed_over(&history, &work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_counts_older_runs_once() {
    let database = SERVER.database();
    let url = SERVER.url(&database);
    let history = SqlHistory::at(&url).await.unwrap();
    let other = SqlHistory::at(&url).await.unwrap();
    let work = |sql: &str| drop(SERVER.psql(&database, sql));
    older_runs_are_counted_once(&history, &other, &work).await;
    what_cannot_be_read_is_passed_over(&history, &work).await;
}

/// Whoever follows them while several conclude runs of the same drills, with
/// connections that are cut, has each run once.
#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_concluded_at_once_are_counted_once() {
    let database = SERVER.database();
    let history = SqlHistory::at(&SERVER.url(&database)).await.unwrap();
    let other = SqlHistory::at(&SERVER.url(&database)).await.unwrap();
    let mut runs = Vec::new();
    for second in 0..60 {
        let drill = DRILLS[second as usize % 3];
        let (claim, mut record) = begun(&history, drill, second).await;
        conclude(&history, &claim, &mut record, false).await;
        runs.push((claim, record));
    }
    // As if an older version had concluded them all, and died.
    SERVER.psql(&database, UNCOUNTED);
    let ended = futures_util::future::join_all(runs.into_iter().enumerate().map(
        |(number, (claim, mut record))| {
            let by = if number % 2 == 0 { &history } else { &other };
            async move { conclude(by, &claim, &mut record, true).await }
        },
    ));
    let cut = async {
        for _ in 0..20 {
            let sql = format!(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = '{database}' and pid <> pg_backend_pid()"
            );
            SERVER.psql("postgres", &sql);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let followed = Followed::default();
    let follow = async {
        for _ in 0..50 {
            let _ = followed.now(&history).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::join!(ended, cut, follow);
    let again = async || loop {
        if let Ok(counted) = history.tallies(None).await {
            break whole(counted);
        }
    };
    let told = again().await;
    assert_eq!(told, sums(&history).await);
    let follows = followed.now(&history).await.unwrap();
    let follows: BTreeMap<String, Tally> = follows
        .tallies
        .iter()
        .filter_map(|(drill, tally)| Some((drill.clone(), (**tally.as_ref()?).clone())))
        .collect();
    assert_eq!(follows, told);
    assert_eq!(
        told.values()
            .flat_map(|tally| tally.runs.values())
            .sum::<u64>(),
        60
    );
}
