//! Every step and every release done twice, and a failure at every step: the
//! result is the same, or a failure that is told, and nothing is left.

use lifeboat::{
    domain::{
        check::Outcome,
        failure::{Failure, FailureKind},
        record::RunRecord,
        step::Step,
        verdict::{Cleanup, Progress, Verdict},
    },
    engine::Fault,
    runner::store::Gone,
    sweeper,
};

use crate::support::{
    bench::Bench,
    database::Database,
    tamper::Tamper,
    world::{Source, SqliteFile, World},
};

const FAULTS: [Fault; 2] = [Fault::RowByte, Fault::Index];

impl<S: Source> Bench<S> {
    async fn twice_is_as_good_as_once(&self, faults: &[Fault], verdict: Verdict) {
        let once = self.run(Tamper::Nothing, faults).await;
        assert_eq!(once.verdict, Some(verdict), "{once:#?}");
        self.is_clean_after(&once).await;
        let twice = self.run(Tamper::Twice, faults).await;
        assert_eq!(said(&twice), said(&once), "{twice:#?}");
        self.is_clean_after(&twice).await;
    }

    async fn a_failure_is_told_and_leaves_nothing(&self, tampers: &[Tamper]) -> Vec<Failure> {
        let mut told = Vec::new();
        for tamper in tampers {
            let (Tamper::FailBefore(step) | Tamper::FailAfter(step) | Tamper::HangAfter(step)) =
                *tamper
            else {
                panic!("{tamper:?} fails at no step");
            };
            let record = self.run(*tamper, &FAULTS).await;
            assert_eq!(record.progress, Progress::EndedIn(step), "{record:#?}");
            // What a check has found stands, whatever becomes of the step.
            let found = step == Step::Verify && *tamper != Tamper::FailBefore(step);
            let verdict = if found {
                Verdict::Failed
            } else {
                Verdict::Inconclusive
            };
            assert_eq!(record.verdict, Some(verdict), "{record:#?}");
            self.is_clean_after(&record).await;
            let failed = record.failure.unwrap();
            assert_eq!(failed.step, step);
            told.push(failed.failure);
        }
        told
    }

    async fn a_release_that_fails_is_made_up_for(&self) {
        let record = self.run(Tamper::FailRelease, &[]).await;
        assert_eq!(record.verdict, Some(Verdict::Passed));
        let Cleanup::Leaked { resources } = &record.cleanup else {
            panic!("{record:#?}");
        };
        assert!(resources.len() >= 2, "{resources:?}");
        let runner = self.runner(Tamper::Nothing);
        let places = [runner.sandbox.clone()];
        let swept = sweeper::sweep(&runner, &places, |_| Some(Gone::Seen), &[])
            .await
            .unwrap();
        assert_eq!(swept.leaks, []);
        assert_eq!(swept.runs[0].verdict, Some(Verdict::Passed));
        self.is_clean_after(&swept.runs[0]).await;
    }
}

/// What a record says about the data.
fn said(record: &RunRecord) -> (Option<Verdict>, String, Vec<(String, Outcome)>) {
    let checks = record.checks.iter();
    let mut checks: Vec<_> = checks
        .map(|check| (check.name.clone(), check.outcome))
        .collect();
    checks.sort_by(|one, other| one.0.cmp(&other.0));
    (record.verdict, format!("{:?}", record.proof), checks)
}

/// Of each of the two places: the processes in it, and its room.
fn shows_how_things_looked(diagnosis: &[String]) {
    let numbers = |end: &str| -> Vec<u64> {
        let lines = diagnosis.iter().filter_map(|line| line.split_once(end));
        lines.map(|(number, _)| number.parse().unwrap()).collect()
    };
    let processes = numbers(" processes of the run are alive");
    assert_eq!(processes.len(), 2, "{diagnosis:?}");
    assert!(processes.iter().any(|count| *count > 0), "{diagnosis:?}");
    assert_eq!(numbers(" MiB are free in ").len(), 2, "{diagnosis:?}");
}

fn at_every_step(tamper: impl Fn(Step) -> Tamper) -> Vec<Tamper> {
    Step::ALL.into_iter().map(tamper).collect()
}

async fn sqlite(more: &str) -> Bench<SqliteFile> {
    Bench::new(World::new(SqliteFile::make), more).await
}

async fn postgres(more: &str) -> Bench<Database> {
    let world = World::new(|_| Database::small());
    let checks = "  checks: { rowCounts: [ { table: orders, min: 1 } ] }\n";
    Bench::new(world, &format!("{checks}{more}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_sqlite_may_do_everything_twice() {
    let bench = sqlite("").await;
    bench.twice_is_as_good_as_once(&[], Verdict::Passed).await;
    bench
        .twice_is_as_good_as_once(&FAULTS, Verdict::Failed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_postgresql_may_do_everything_twice() {
    let bench = postgres("").await;
    bench.twice_is_as_good_as_once(&[], Verdict::Passed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_any_step_of_sqlite_leaves_nothing() {
    let bench = sqlite("").await;
    for tampers in [
        at_every_step(Tamper::FailBefore),
        at_every_step(Tamper::FailAfter),
    ] {
        bench.a_failure_is_told_and_leaves_nothing(&tampers).await;
    }
    bench.a_release_that_fails_is_made_up_for().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_any_step_of_postgresql_leaves_nothing() {
    let bench = postgres("").await;
    let tampers = at_every_step(Tamper::FailAfter);
    bench.a_failure_is_told_and_leaves_nothing(&tampers).await;
    bench.a_release_that_fails_is_made_up_for().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_postgresql_that_hangs_is_ended_and_leaves_nothing() {
    for step in [Step::Start, Step::Verify] {
        // By then the step is done on a busy machine, too, and hangs.
        let bench = postgres(&format!("  deadlines: {{ {step}: 8s }}\n")).await;
        let hangs = [Tamper::HangAfter(step)];
        let told = bench.a_failure_is_told_and_leaves_nothing(&hangs).await;
        assert_eq!(told[0].kind, FailureKind::Timeout, "{told:?}");
        let hint = told[0].hint.as_deref().unwrap();
        assert!(hint.contains(&format!("spec.deadlines.{step}")), "{hint}");
        shows_how_things_looked(&told[0].diagnosis);
    }
}
