//! Very many drills: how late their runs begin, and what a drill that waits takes
//! of memory.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{
        budget::{Limits, Share},
        failure::Failure,
        ids::DrillName,
        record::RunRecord,
        verdict::{Cleanup, Verdict},
    },
    history::{
        agenda::{Agenda, FireFilter},
        sql::SqlHistory,
    },
    runner::store::{RunStore, StoreError, Write},
    service::{self, Backups, Launch, Orphan, Parts, Start},
    spec::{self, drill::Drill, packed::PackedDrill},
};
use tokio_util::sync::CancellationToken;

use super::{Workload, idle, shared::owner};
use crate::harness::{Bench, Limit, Owner};

pub const WORKLOAD: Workload = Workload {
    name: "schedule",
    about: "a service of 100,000 drills: runs that begin in time, and memory",
    run: measure,
};

const DRILLS: u32 = 100_000;

const SETTLING: Duration = Duration::from_secs(2);

/// Runs that begin and end in the history, and do nothing.
struct Begins {
    history: SqlHistory,
    clock: SystemClock,
    /// How long after they were due.
    late: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Launch for Begins {
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError> {
        let now = self.clock.now();
        let name = start.drill.name.to_string();
        let mut record = RunRecord::requested(start.id, &name, "sqlite", now);
        record.scheduled_for = start.scheduled_for;
        let claim = self
            .history
            .begin(&record, &owner(1), &start.demand)
            .await?;
        if let Some(due) = start.due {
            let late = Duration::try_from(self.clock.now().duration_since(due));
            self.late().push(late.unwrap_or_default());
        }
        record.verdict = Some(Verdict::Passed);
        record.cleanup = Cleanup::Clean;
        record.finished_at = Some(self.clock.now());
        let writes = [Write::Record(&record)];
        self.history
            .write(&claim, self.clock.now(), &writes)
            .await?;
        Ok(record)
    }

    async fn take_up(&self, _: Orphan, _: Start) -> Result<Option<RunRecord>, StoreError> {
        Ok(None)
    }

    fn learnt(&self, _: &DrillName) -> Vec<Share> {
        Vec::new()
    }
}

#[async_trait]
impl Backups for Begins {
    async fn newest(&self, _: &Drill) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }
}

impl Begins {
    fn late(&self) -> std::sync::MutexGuard<'_, Vec<Duration>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let runtime = bench.runtime.clone();
    let drills = bench.options.scaled(DRILLS, 600);
    let place = bench.directory("schedule", Owner::Harness)?;
    let history = |name: &str| runtime.block_on(SqlHistory::in_file(&place.join(name)));
    let (spread, storm) = (history("spread.db")?, history("storm.db")?);
    let smoke = bench.options.smoke;
    let mut late = runtime.block_on(spread_over_an_hour(spread, drills, smoke))?;
    let what = format!("{drills} drills, spread over an hour");
    bench.figure(
        &format!("{what}: begun"),
        f64::from(u32::try_from(late.len())?),
        "runs",
    );
    let (p50, p99) = (
        share(&mut late, 50) * 1_000.0,
        share(&mut late, 99) * 1_000.0,
    );
    bench.figure(
        &format!("{what}: begun and written after it was due, p50"),
        p50,
        "ms",
    );
    bench.goal(
        &format!("{what}: begun and written after it was due, p99 in ms"),
        p99,
        Limit::AtMost(10.0),
    );
    let (seen, noted) = runtime.block_on(all_at_once(storm, drills, smoke))?;
    let what = format!("{drills} drills, due in one second");
    bench.goal(
        &format!("{what}: known to be due, in s"),
        seen.as_secs_f64(),
        Limit::AtMost(5.0),
    );
    bench.goal(
        &format!("{what}: each in the history once, after it was too late to run, in s"),
        noted.as_secs_f64(),
        Limit::AtMost(5.0),
    );
    memory(bench, drills)
}

/// What so many of a hundred take at most.
fn share(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[times.len() * percent / 100].as_secs_f64()
}

/// How late runs begin within a minute.
async fn spread_over_an_hour(
    history: SqlHistory,
    drills: u32,
    smoke: bool,
) -> anyhow::Result<Vec<Duration>> {
    let watched = if smoke { 3 } else { 60 };
    // Within the few seconds of a smoke something has to be due.
    let spread = |number| {
        let spread = format!("cron: '{} * * * *', startWindow: 1m", number % 60);
        let at_once = "cron: '* * * * * *'".to_owned();
        if smoke { at_once } else { spread }
    };
    let stage = Stage::new(history, Limits::OPEN, drills, spread).await?;
    // What was due while the drills were taken over is another matter.
    tokio::time::sleep(SETTLING).await;
    stage.begins.late().clear();
    tokio::time::sleep(Duration::from_secs(watched)).await;
    let late = std::mem::take(&mut *stage.begins.late());
    stage.stop().await?;
    anyhow::ensure!(!late.is_empty(), "nothing was due");
    Ok(late)
}

/// How long it takes until all that is due at once is known to be, and until
/// each has its reason in the history once there was no room for it in time.
async fn all_at_once(
    history: SqlHistory,
    drills: u32,
    smoke: bool,
) -> anyhow::Result<(Duration, Duration)> {
    let deadline = if smoke { 2 } else { 10 };
    // There is time to take over all drills before.
    let due = SystemClock::new().now() + Duration::from_secs(deadline + u64::from(drills) / 10_000);
    let zoned = due.to_zoned(jiff::tz::TimeZone::UTC);
    let (hour, minute, second) = (zoned.hour(), zoned.minute(), zoned.second());
    let due = Timestamp::from_second(zoned.timestamp().as_second())?;
    let cron = format!("cron: '{second} {minute} {hour} * * *', startingDeadline: {deadline}s");
    let limits = Limits {
        runs: 1,
        ..Limits::OPEN
    };
    let stage = Stage::new(history, limits, drills, |_| cron.clone()).await?;
    let clock = SystemClock::new();
    anyhow::ensure!(clock.now() < due, "the drills were not taken over in time");
    let all = usize::try_from(drills)?;
    let since = |at: Timestamp| {
        let passed = Duration::try_from(clock.now().duration_since(at));
        passed.unwrap_or_default()
    };
    loop {
        let status = stage.service.status().await?;
        if status.waiting + status.running + stage.begins.late().len() >= all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = since(due);
    loop {
        let status = stage.service.status().await?;
        if status.waiting + status.running == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let noted = since(due + Duration::from_secs(deadline));
    let filter = FireFilter {
        drills: None,
        limit: drills * 2,
        ..FireFilter::default()
    };
    let fires = stage.begins.history.fires(&filter).await?;
    anyhow::ensure!(fires.len() == all, "{} fire times of {all}", fires.len());
    stage.stop().await?;
    Ok((seen, noted))
}

/// What a drill that waits takes.
fn memory(bench: &mut Bench, drills: u32) -> anyhow::Result<()> {
    let alone = idle::anonymous(bench, 1)?;
    let full = idle::anonymous(bench, drills)?;
    #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
    let each = full.saturating_sub(alone) as f64 / f64::from(drills);
    bench.goal(
        &format!("memory for each of {drills} drills that wait, in bytes"),
        each,
        Limit::AtMost(1_024.0),
    );
    Ok(())
}

/// A keeper on a history.
struct Stage {
    begins: Arc<Begins>,
    service: service::Service,
    keeper: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl Stage {
    async fn new(
        history: SqlHistory,
        limits: Limits,
        drills: u32,
        schedule: impl Fn(u32) -> String,
    ) -> anyhow::Result<Self> {
        let begins = Arc::new(Begins {
            history: history.clone(),
            clock: SystemClock::new(),
            late: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (service, keeper) = service::start(Parts {
            clock: Arc::new(SystemClock::new()),
            agenda: Arc::new(history.clone()),
            requests: Arc::new(history.clone()),
            replicas: Arc::new(history),
            launch: begins.clone(),
            backups: begins.clone(),
            limits,
            grace: Duration::from_secs(20),
            park: false,
            stop: stop.clone(),
        });
        let all = (0..drills).map(|number| packed(number, &schedule(number)));
        let all: anyhow::Result<Vec<_>> = all.collect();
        service.replace(all?).await?;
        Ok(Self {
            begins,
            service,
            keeper,
            stop,
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.keeper.await.context("the keeper")
    }
}

fn packed(number: u32, schedule: &str) -> anyhow::Result<Arc<PackedDrill>> {
    let text = format!(
        "{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: d{number}}}, \
         spec: {{workload: {{sqlite: {{file: /var/lib/app/{number}.db}}}}, schedule: {{{schedule}}}}}}}"
    );
    let drill = spec::parse(&text, std::path::Path::new("/drills/a.yaml"));
    let drill = drill.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Ok(Arc::new(PackedDrill::new(&drill)?))
}
