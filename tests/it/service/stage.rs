//! A service whose runs do nothing but last.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::Clock,
    domain::{
        budget::{Limits, Share},
        failure::Failure,
        ids::{DrillName, RunId},
        journal::Entry,
        record::RunRecord,
        verdict::{Cleanup, Verdict},
    },
    history::{
        Filter, Queries,
        agenda::{Agenda, Fire, FireFilter},
        memory::MemoryHistory,
        replicas::Replicas,
    },
    runner::{
        cancel::Why,
        overrides::Overrides,
        store::{RunStore, StoreError, Write},
    },
    service::{self, Backups, Launch, Orphan, Parts, Refused, Service, Start},
    spec::{self, drill::Drill, packed::PackedDrill},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::stage::owner;

/// A wall clock that goes with tokio's, which a test lets pass at once.
pub struct Wall {
    origin: tokio::time::Instant,
    begin: Timestamp,
    /// So many seconds, as somebody has set it.
    pub ahead: AtomicI64,
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::SeqCst);
        self.begin + self.monotonic() + SignedDuration::from_secs(ahead)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Runs that last as long as they are told to.
pub struct Runs {
    pub history: Arc<MemoryHistory>,
    pub clock: Arc<Wall>,
    lasting: Duration,
    /// For so many seconds each has still something to do after its end.
    pub after: AtomicU64,
    /// So many seconds pass between a verdict and the end: all is given back.
    pub giving_back: AtomicU64,
    /// For so many seconds the history keeps each waiting that begins.
    pub held_up: AtomicU64,
    /// Whether the history takes nothing.
    pub down: AtomicBool,
    /// Drill and second of each beginning, and whether it was cancelled.
    pub ended: Mutex<Vec<(String, String, bool)>>,
    /// When the newest backup was made.
    pub newest: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Launch for Runs {
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Full { doing: "written" });
        }
        let held_up = self.held_up.load(Ordering::SeqCst);
        tokio::select! {
            () = pass(held_up) => {}
            () = start.cancel.cancelled() => return Err(StoreError::Cancelled),
        }
        let begun = self.clock.now();
        let drill = start.drill.name.to_string();
        let mut record = RunRecord::requested(start.id, &drill, "sqlite", begun);
        record.scheduled_for = start.scheduled_for;
        record.request_key = start.request_key;
        let claim = self.history.begin(&record, &owner(), &start.demand).await?;
        let why = tokio::select! {
            () = tokio::time::sleep(self.lasting) => None,
            () = start.cancel.cancelled() => start.cancel.why(),
            why = self.asked_to_end(start.id) => Some(why),
        };
        let cancelled = why.is_some();
        record.reasons.extend(why.map(|why| format!("{why:?}")));
        record.verdict = Some(if cancelled {
            Verdict::Inconclusive
        } else {
            Verdict::Passed
        });
        let verdict = [Write::Record(&record)];
        self.history
            .write(&claim, self.clock.now(), &verdict)
            .await?;
        pass(self.giving_back.load(Ordering::SeqCst)).await;
        record.cleanup = Cleanup::Clean;
        record.finished_at = Some(self.clock.now());
        let writes = [Write::Entry(&Entry::Finished), Write::Record(&record)];
        self.history
            .write(&claim, self.clock.now(), &writes)
            .await?;
        let ended = (drill, begun.to_string(), cancelled);
        self.ended.lock().unwrap().push(ended);
        let after = self.after.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(after)).await;
        Ok(record)
    }

    async fn take_up(&self, orphan: Orphan, start: Start) -> Result<Option<RunRecord>, StoreError> {
        let mut record = orphan.run.record;
        let (epoch, owner) = (orphan.run.epoch, owner());
        let taken = self
            .history
            .take_over(record.id, epoch, &owner, orphan.gone);
        let Some(taken) = taken.await? else {
            return Ok(None);
        };
        tokio::select! {
            () = tokio::time::sleep(self.lasting) => {}
            () = start.cancel.cancelled() => {}
        }
        record.verdict = Some(Verdict::Passed);
        record.cleanup = Cleanup::Clean;
        record.finished_at = Some(self.clock.now());
        let writes = [Write::Record(&record)];
        let now = self.clock.now();
        self.history.write(&taken.claim, now, &writes).await?;
        Ok(Some(record))
    }

    fn learnt(&self, _drill: &DrillName) -> Vec<Share> {
        Vec::new()
    }
}

impl Runs {
    /// Until somebody asks in the history for the end of a run, and why.
    async fn asked_to_end(&self, run: RunId) -> Why {
        loop {
            pass(1).await;
            let asked = self.history.asked_to_end(&owner()).await.unwrap();
            if let Some((_, why)) = asked.into_iter().find(|(id, _)| *id == run) {
                return why;
            }
        }
    }
}

#[async_trait]
impl Backups for Runs {
    async fn newest(&self, _drill: &Drill) -> Result<Option<Timestamp>, Failure> {
        Ok(*self.newest.lock().unwrap())
    }
}

pub struct Stage {
    pub service: Service,
    pub runs: Arc<Runs>,
    pub stop: CancellationToken,
    pub keeper: JoinHandle<()>,
}

/// When all stages begin.
pub const BEGIN: &str = "2026-05-01T12:00:30Z";

impl Stage {
    /// A service on an empty history.
    pub fn new(lasting: u64, limits: Limits) -> Self {
        Self::on(Arc::default(), BEGIN, lasting, limits)
    }

    /// A service on a history, that begins at an instant.
    pub fn on(history: Arc<MemoryHistory>, begin: &str, lasting: u64, limits: Limits) -> Self {
        let clock = Arc::new(Wall {
            origin: tokio::time::Instant::now(),
            begin: begin.parse().unwrap(),
            ahead: AtomicI64::default(),
        });
        let runs = Arc::new(Runs {
            history: history.clone(),
            clock: clock.clone(),
            lasting: Duration::from_secs(lasting),
            after: AtomicU64::default(),
            giving_back: AtomicU64::default(),
            held_up: AtomicU64::default(),
            down: AtomicBool::default(),
            ended: Mutex::default(),
            newest: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (service, keeper) = service::start(Parts {
            clock,
            agenda: history.clone(),
            requests: history.clone(),
            replicas: history,
            launch: runs.clone(),
            backups: runs.clone(),
            limits,
            grace: Duration::from_secs(20),
            park: false,
            stop: stop.clone(),
        });
        Self {
            service,
            runs,
            stop,
            keeper,
        }
    }

    /// Stops the service, and waits until it has.
    pub async fn stopped(&mut self) {
        self.stop.cancel();
        (&mut self.keeper).await.unwrap();
    }

    pub async fn keeps(&self, drills: &[Drill]) {
        let drills = drills
            .iter()
            .map(|drill| Arc::new(PackedDrill::new(drill).unwrap()));
        let drills = drills.collect();
        self.service.replace(drills).await.unwrap();
    }

    /// Asks for a run.
    pub async fn ask(&self, drill: &str) -> Result<RunId, Refused> {
        let drill = drill.parse().unwrap();
        let asked = self.service.run(drill, None, Overrides::default());
        asked.await
    }

    /// When runs began: drill and time of day.
    pub fn began(&self) -> Vec<String> {
        let ended = self.runs.ended.lock().unwrap();
        ended
            .iter()
            .map(|(drill, at, _)| format!("{drill} {}", &at[11..19]))
            .collect()
    }

    /// The runs that were ended early, oldest first: time of day and reason.
    pub async fn ended_early(&self) -> Vec<String> {
        let mut runs = self.runs.history.list(&Filter::default()).await.unwrap();
        runs.reverse();
        let early = runs.iter().filter_map(|run| {
            let (at, reason) = (run.requested_at.to_string(), run.reasons.first()?);
            Some(format!("{} {reason}", &at[11..16]))
        });
        early.collect()
    }

    /// What the history says of fire times, oldest first: time of day and outcome.
    pub async fn fires(&self, drill: &str) -> Vec<String> {
        let filter = FireFilter {
            drills: Some(vec![drill.to_owned()]),
            limit: 1_000,
            ..FireFilter::default()
        };
        let mut fires = self.runs.history.fires(&filter).await.unwrap();
        fires.reverse();
        fires.iter().map(line).collect()
    }
}

fn line(fire: &Fire) -> String {
    let time = fire.scheduled_for.to_string();
    format!("{} {}", &time[11..16], fire.outcome.name())
}

/// Lets time pass.
pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub fn minutely(name: &str) -> Drill {
    drill(name, &format!("{name}.db"), "cron: '* * * * *'")
}

pub fn drill(name: &str, file: &str, schedule: &str) -> Drill {
    let workload = format!("workload: {{ sqlite: {{ file: {file} }} }}");
    of(name, &format!("{workload}\n  schedule: {{ {schedule} }}"))
}

/// A drill of backups that others make.
pub fn of_backups(name: &str, schedule: &str) -> Drill {
    let point = "workload: { sqlite: {} }\n  recoveryPoint: { existing: { path: '*.db' } }";
    of(name, &format!("{point}\n  schedule: {{ {schedule} }}"))
}

fn of(name: &str, spec: &str) -> Drill {
    let text = format!(
        "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\nspec:\n  \
         {spec}\n"
    );
    spec::parse(&text, std::path::Path::new("/drills/x.yaml")).unwrap()
}
