//! Every step and every release done twice, and a failure at every step: the
//! result is the same, or a failure that is told, and nothing is left.

use std::{path::PathBuf, sync::Arc};

use lifeboat::{
    app,
    clock::{Clock, SystemClock},
    domain::{
        check::Outcome,
        ids::RunId,
        record::RunRecord,
        step::Step,
        verdict::{Cleanup, Progress, Verdict},
    },
    engine::{Engine, Fault},
    history::sqlite::SqliteHistory,
    process::{Launcher, account, owner::Identity},
    runner::{
        execute::{Request, Runner},
        hook::NoHook,
        store::{Owner, RunStore},
    },
    sandbox::{Sandbox, local::LocalSandbox},
    spec::{self, drill::Drill},
    sweeper,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    database::Database,
    tamper::{Tamper, Tampered},
    world::{Source, SqliteFile, World, labelled},
};

const FAULTS: [Fault; 2] = [Fault::RowByte, Fault::Index];

/// Runs drills of a world in this very process, with a hand in them.
struct Bench<S> {
    world: World<S>,
    before: String,
    history: Arc<SqliteHistory>,
    drill: Drill,
}

impl<S: Source> Bench<S> {
    async fn new(world: World<S>, more: &str) -> Self {
        let file = world.drill("app", more);
        std::fs::create_dir(world.path("state")).unwrap();
        Self {
            before: world.source.content(),
            history: Arc::new(
                SqliteHistory::open(&world.path("state/history.db"))
                    .await
                    .unwrap(),
            ),
            drill: spec::read(&file).unwrap(),
            world,
        }
    }

    fn runner(&self, tamper: Tamper) -> Runner {
        let account = account::unprivileged(None).unwrap();
        let scratch = self.world.path("state/scratch");
        let with: Arc<dyn Sandbox> = Arc::new(LocalSandbox::new(scratch, account));
        let here = Identity::current().unwrap();
        Runner {
            store: self.history.clone(),
            sandbox: Arc::new(Tampered { tamper, with }),
            clock: Arc::new(SystemClock::new()),
            hook: Arc::new(NoHook),
            owner: Owner {
                host: here.host,
                boot: here.boot,
                pid: here.pid,
                start_ticks: here.start_ticks,
            },
        }
    }

    async fn run(&self, tamper: Tamper, faults: &[Fault]) -> RunRecord {
        let id = RunId::new(SystemClock::new().now());
        let launcher = Launcher {
            run: id,
            helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"))),
            account: account::unprivileged(None).unwrap(),
            allow_unfenced: false,
        };
        let with: Arc<dyn Engine> = app::engine(&self.drill, launcher);
        let request = Request {
            id,
            drill: &self.drill,
            engine: Arc::new(Tampered { tamper, with }),
            faults,
            listeners: Vec::new(),
            cancel: CancellationToken::new(),
        };
        self.runner(tamper).run(request).await.unwrap()
    }

    /// Nothing is left of the run, and the source is as it was.
    async fn is_clean_after(&self, record: &RunRecord) {
        assert_eq!(record.cleanup, Cleanup::Clean, "{record:#?}");
        self.world.is_empty();
        assert_eq!(labelled(&record.id.to_string()), [""; 0]);
        assert_eq!(self.history.unfinished().await.unwrap(), []);
        assert_eq!(self.world.source.content(), self.before);
    }

    async fn twice_is_as_good_as_once(&self, faults: &[Fault], verdict: Verdict) {
        let once = self.run(Tamper::Nothing, faults).await;
        assert_eq!(once.verdict, Some(verdict), "{once:#?}");
        self.is_clean_after(&once).await;
        let twice = self.run(Tamper::Twice, faults).await;
        assert_eq!(said(&twice), said(&once), "{twice:#?}");
        self.is_clean_after(&twice).await;
    }

    async fn a_failure_is_told_and_leaves_nothing(&self, tampers: &[Tamper]) {
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
            assert_eq!(record.failure.as_ref().unwrap().step, step);
            self.is_clean_after(&record).await;
        }
    }

    async fn a_release_that_fails_is_made_up_for(&self) {
        let record = self.run(Tamper::FailRelease, &[]).await;
        assert_eq!(record.verdict, Some(Verdict::Passed));
        let Cleanup::Leaked { resources } = &record.cleanup else {
            panic!("{record:#?}");
        };
        assert!(resources.len() >= 2, "{resources:?}");
        let swept = sweeper::sweep(&self.runner(Tamper::Nothing), |_| true, &[])
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
        let bench = postgres(&format!("  deadlines: {{ {step}: 3s }}\n")).await;
        let hangs = [Tamper::HangAfter(step)];
        bench.a_failure_is_told_and_leaves_nothing(&hangs).await;
    }
}
