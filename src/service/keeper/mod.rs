//! The task that owns what is known of every drill.
//!
//! What it knows may be lost at any instant. A fire time counts as dealt with
//! only when the history has it: as passed, or together with the run that is
//! begun for it. So between "is due" and "has begun" nothing is written, and a
//! keeper that starts anew finds the fire time due again, or too late.

mod clock;
mod looks;
mod orders;
mod overlaps;
mod requests;
mod stop;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::looks::Looked;
use super::{
    Parts,
    order::{Order, Orphan, Start},
    queue::Queue,
    waitlist::{Due, Waiting, Waitlist},
};
use crate::{
    domain::{
        budget::{Demand, Limits, Taken},
        failure::Failure,
        ids::DrillName,
        record::RunRecord,
    },
    history::agenda::{Settlement, is_ahead},
    runner::{
        cancel::{Cancel, Why},
        store::StoreError,
    },
    schedule::{Missed, Plan, Reason, Schedule, plan},
    spec::packed::PackedDrill,
};

/// The longest sleep: somebody may set the machine's clock meanwhile.
const NAP: Duration = Duration::from_secs(10);

/// When to try again what the history did not take.
const AGAIN: Duration = Duration::from_secs(5);

/// So many fire times are noted at once.
const AT_ONCE: usize = 500;

/// When to ask again for room that runs of other processes take.
const ROOM_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    parts: Parts,
    orders: mpsc::Receiver<Order>,
    /// By name, as they are told.
    drills: BTreeMap<DrillName, Kept>,
    queue: Queue,
    waiting: Waitlist,
    running: HashMap<DrillName, Running>,
    taken: Taken,
    runs: JoinSet<Ended>,
    looks: JoinSet<Looked>,
    /// Drills of which a look goes on.
    looking: HashSet<DrillName>,
    /// The backups that the last looks have found.
    seen: HashMap<DrillName, Timestamp>,
    /// Fire times whose runs were cancelled, until that is noted.
    cancelled: BTreeSet<(DrillName, Timestamp)>,
    /// What the clocks read at the last look.
    read_at: Option<(Timestamp, Duration)>,
    /// When to see to drills that are dealt with up to a time that is still to come, as
    /// the clock was set back; never where absent.
    settles_at: Option<Timestamp>,
    /// Until then all runs that may go on do, in other processes, too.
    full_until: Option<Timestamp>,
    /// When to look for requests that nobody begins; at once where absent.
    adopts_at: Option<Timestamp>,
}

/// A drill, and up to which fire time it is dealt with.
struct Kept {
    drill: Arc<PackedDrill>,
    settled: Timestamp,
}

struct Running {
    /// As it waited.
    run: Waiting,
    since: Timestamp,
    cancel: Cancel,
    park: CancellationToken,
}

struct Ended {
    drill: DrillName,
    /// None if another process has taken it up.
    result: Result<Option<RunRecord>, StoreError>,
}

impl Keeper {
    pub(super) fn new(parts: Parts, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            parts,
            orders,
            drills: BTreeMap::new(),
            queue: Queue::default(),
            waiting: Waitlist::default(),
            running: HashMap::new(),
            taken: Taken::default(),
            runs: JoinSet::new(),
            looks: JoinSet::new(),
            looking: HashSet::new(),
            seen: HashMap::new(),
            cancelled: BTreeSet::new(),
            read_at: None,
            settles_at: None,
            full_until: None,
            adopts_at: None,
        }
    }

    /// Keeps going until it is asked to stop.
    pub(super) async fn keep(mut self) {
        let stop = self.parts.stop.clone();
        loop {
            let nap = self.nap();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                Some(ended) = self.runs.join_next() => self.ended(ended).await,
                Some(looked) = self.looks.join_next() => {
                    if let Ok(looked) = looked {
                        self.end_look(looked);
                    }
                }
                () = tokio::time::sleep(nap) => {}
            }
            self.look().await;
        }
        self.end_runs().await;
    }

    /// Until something may have to be done.
    fn nap(&self) -> Duration {
        let now = self.parts.clock.now();
        let waiting = self.waiting.iter();
        let times = waiting.flat_map(|one| [one.fire.map(|fire| fire.until), one.rests]);
        let times = times.chain([self.full_until, self.settles_at]);
        let next = times.flatten().filter(|time| *time > now);
        let adopts = self.adopts_at.unwrap_or(now);
        let adopts = Some(adopts).filter(|_| !self.drills.is_empty());
        let next = next.chain(self.queue.first()).chain(adopts).min();
        let left = next.map(|next| next.duration_since(now));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        match next {
            Some(_) => left.unwrap_or_default().min(NAP),
            None => NAP,
        }
    }

    /// Does what is due, and starts what there is room for.
    async fn look(&mut self) {
        let now = self.parts.clock.now();
        self.notice_clock(now);
        self.settle_anew(now).await;
        while let Some(name) = self.queue.take(now) {
            if let Err(error) = self.due(&name, now).await {
                tracing::warn!(drill = %name, error = %said(&error), "cannot deal with fire times");
                self.queue.put(&name, Some(self.parts.clock.now() + AGAIN));
                // The others would wait for the same, and whoever asks for
                // something, too.
                return;
            }
        }
        if let Err(error) = self.adopt(now).await {
            tracing::warn!(error = %said(&error), "cannot look for requests");
        }
        self.hear_of_ends(now).await;
        self.admit(now).await;
    }

    /// Starts what there is room for, and lets go what it is too late for.
    async fn admit(&mut self, now: Timestamp) {
        let (mut place, mut late) = (0, Vec::new());
        while let Some((next, one)) = self.waiting.after(place) {
            place = next;
            let full = self.taken.full(self.parts.limits, &one.shares);
            let rests = one.rests.max(self.full_until);
            let runs = self.running.contains_key(&one.drill.name);
            // The drill's own run may be what leaves no room.
            if let Some(limit) = full.filter(|_| !runs) {
                one.lacks(limit, now);
            }
            let may_try = !runs && one.behind.is_none() && rests.is_none_or(|rests| rests <= now);
            let room = full.is_none() && may_try;
            let passed = one.too_late(now, room, runs);
            if !room && passed.is_none() {
                continue;
            }
            let name = one.drill.name.clone();
            let Some(one) = self.waiting.take(&name) else {
                continue;
            };
            match (passed, one.fire) {
                (Some(reason), Some(fire)) => late.push((name, missed(fire.scheduled_for, reason))),
                _ => self.start(one, None, now),
            }
        }
        self.pass(late).await;
    }

    /// Deals with the fire times of a drill up to now.
    async fn due(&mut self, name: &DrillName, now: Timestamp) -> Result<(), StoreError> {
        let Some(kept) = self.drills.get(name) else {
            return Ok(());
        };
        let (drill, settled) = (kept.drill.clone(), kept.settled);
        let Some(schedule) = &drill.schedule else {
            return Ok(());
        };
        if let Some(looks) = schedule.trigger.looks() {
            return self.begin_look(&drill, (schedule, looks), now);
        }
        let mut plan = self.plan(name, schedule, settled, now).await?;
        let turn = schedule.overlap.turn(self.before(name).await?);
        self.give_turn(name, turn, &mut plan);
        let settlement = self.settlement(name, &plan);
        self.settle(settlement.into_iter().collect(), now).await?;
        self.queue.put(name, plan.next.map(|next| next.starts_at));
        let Some(due) = plan.due else {
            return Ok(());
        };
        let until = due.starts_at + schedule.starting_deadline;
        // What is caught up with has its whole time from now on.
        let until = if until < now {
            now + schedule.starting_deadline
        } else {
            until
        };
        let fire = Due {
            scheduled_for: due.scheduled_for,
            starts_at: due.starts_at,
            until,
        };
        self.come(Waiting::new(drill, now, Some(fire), None)?, turn);
        self.settled(name, due.scheduled_for);
        Ok(())
    }

    /// What is to be done with the fire times up to now. What seems to have
    /// passed may have been dealt with by another process, while this one was
    /// held up: then it is not this one's to tell.
    async fn plan(
        &mut self,
        name: &DrillName,
        schedule: &Schedule,
        settled: Timestamp,
        now: Timestamp,
    ) -> Result<Plan, StoreError> {
        let first = plan(schedule, name.as_str(), settled, now);
        if first.passed.is_empty() {
            return Ok(first);
        }
        match self.parts.agenda.reached(name.as_str()).await? {
            Some(reached) if reached > settled && !is_ahead(reached, now) => {
                self.settled(name, reached);
                Ok(plan(schedule, name.as_str(), reached, now))
            }
            _ => Ok(first),
        }
    }

    fn settled(&mut self, name: &DrillName, until: Timestamp) {
        // What has begun or passed by a clock that was ahead says nothing of what comes
        // before it.
        let ahead = is_ahead(until, self.parts.clock.now());
        if let Some(kept) = self.drills.get_mut(name).filter(|_| !ahead) {
            kept.settled = kept.settled.max(until);
        }
    }

    /// What of a plan is to be noted. What is still to start, and what comes
    /// after it, is not settled yet.
    fn settlement(&self, name: &DrillName, plan: &Plan) -> Option<Settlement> {
        let newest = plan
            .passed
            .iter()
            .map(|missed| missed.scheduled_for)
            .max()?;
        let before_due = plan
            .due
            .map(|due| due.scheduled_for - Duration::from_micros(1));
        let before = before_due.into_iter().chain(self.held_up(name, plan));
        Some(Settlement {
            drill: name.clone(),
            passed: plan.passed.clone(),
            older: plan.older as u64,
            until: before.fold(newest, Timestamp::min),
        })
    }

    /// Notes what passed.
    async fn settle(
        &mut self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if settlements.is_empty() {
            return Ok(());
        }
        self.parts.agenda.settle(&settlements, now).await?;
        for Settlement { drill, passed, .. } in &settlements {
            for Missed {
                scheduled_for,
                reason,
            } in passed
            {
                let reason = reason.name();
                tracing::info!(%drill, %scheduled_for, reason, "fire time passes without a run");
                self.settled(drill, *scheduled_for);
                self.cancelled.remove(&(drill.clone(), *scheduled_for));
            }
        }
        Ok(())
    }

    /// Up to where fire times of a drill may count as dealt with while one of
    /// them has a run that is not known to have begun: should this process die,
    /// it must be found due again, unless it passes now.
    fn held_up(&self, name: &DrillName, plan: &Plan) -> Option<Timestamp> {
        let waiting = self.waiting.of(name);
        let running = self.running.get(name).map(|running| &running.run);
        let fires = waiting.into_iter().chain(running);
        let first = fires.filter_map(|one| one.fire);
        let first = first.map(|fire| fire.scheduled_for);
        let first = first.filter(|at| !plan.passes(*at)).min();
        first.map(|first| first - Duration::from_micros(1))
    }

    /// Notes fire times that pass; gives whether that could be noted. If not,
    /// they are found again.
    async fn pass(&mut self, passed: Vec<(DrillName, Missed)>) -> bool {
        let now = self.parts.clock.now();
        let mut noted = true;
        for some in passed.chunks(AT_ONCE) {
            let plans = some.iter().map(|(name, missed)| {
                let passed = vec![*missed];
                let plan = Plan {
                    passed,
                    ..Plan::default()
                };
                self.settlement(name, &plan)
            });
            let settlements = plans.flatten().collect();
            if let Err(error) = self.settle(settlements, now).await {
                tracing::warn!(fire_times = some.len(), error = %said(&error), "cannot note");
                for (name, missed) in some {
                    self.try_again(name, Some(missed.scheduled_for));
                }
                noted = false;
            }
        }
        noted
    }

    fn is_cancelled(&self, name: &DrillName, scheduled_for: Timestamp) -> bool {
        self.cancelled.contains(&(name.clone(), scheduled_for))
    }

    /// Whether a drill runs or waits: a run that was promised and is wanted no
    /// more does not count.
    async fn is_taken(&mut self, name: &DrillName) -> Result<bool, StoreError> {
        let waiting = self.waiting.of(name);
        if let Some(run) = waiting.filter(|one| one.fire.is_none()).map(|one| one.id)
            && self.parts.requests.request_of(run).await?.is_none()
        {
            self.waiting.take(name);
        }
        Ok(self.is_busy(name))
    }

    fn is_busy(&self, name: &DrillName) -> bool {
        self.running.contains_key(name) || self.waiting.of(name).is_some()
    }

    /// Starts a run, or takes up the one of a process that is gone.
    fn start(&mut self, one: Waiting, orphan: Option<Orphan>, now: Timestamp) {
        let name = one.drill.name.clone();
        let (cancel, park) = (Cancel::default(), CancellationToken::new());
        tracing::debug!(drill = %name, run = %one.id, "a run begins or goes on");
        let start = Start {
            id: one.id,
            drill: one.drill.clone(),
            scheduled_for: one.fire.map(|fire| fire.scheduled_for),
            due: one.fire.map(|fire| fire.starts_at),
            request_key: one.request_key.clone(),
            overrides: one.overrides.clone(),
            demand: Demand {
                limits: self.parts.limits,
                shares: one.shares.clone(),
                promised: one.fire.is_none(),
            },
            held_up: one.held_up(now),
            cancel: cancel.clone(),
            park: park.clone(),
        };
        self.taken.take(&one.shares);
        let launch = self.parts.launch.clone();
        let drill = name.clone();
        self.runs.spawn(async move {
            // A run that panics must not look as if it went on.
            let run = tokio::spawn(async move {
                match orphan {
                    Some(orphan) => launch.take_up(orphan, start).await,
                    None => launch.run(start).await.map(Some),
                }
            });
            let run = run.await;
            let result = run.unwrap_or_else(|error| {
                Err(StoreError::Backend {
                    doing: "written by a run that went wrong",
                    source: Box::new(error),
                })
            });
            Ended { drill, result }
        });
        let running = Running {
            run: one,
            since: now,
            cancel,
            park,
        };
        self.running.insert(name, running);
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let Ok(Ended { drill, result }) = ended else {
            return;
        };
        let Some(Running {
            run: one, cancel, ..
        }) = self.running.remove(&drill)
        else {
            return;
        };
        self.taken.give_back(&one.shares);
        let run = one.id;
        match (cancel.why(), &result) {
            (Some(Why::Asked), Err(_)) => return self.taken_back(&drill, &one).await,
            (Some(Why::Stopping), Err(error)) => {
                tracing::info!(%drill, %run, said = %said(error), "left to the service that starts next");
                return;
            }
            // It has not begun, and what is to take its place waits already.
            (Some(Why::Replaced), Err(StoreError::Cancelled)) => {
                return self.wait_on(one, Reason::Missed).await;
            }
            _ => {}
        }
        match (result, one.fire.map(|fire| fire.scheduled_for)) {
            (Ok(None), _) => {
                tracing::debug!(%drill, %run, "another process was faster to take it up");
            }
            (Ok(Some(record)), _) => {
                let verdict = record
                    .verdict
                    .map_or("none", crate::domain::verdict::Verdict::name);
                tracing::info!(%drill, %run, verdict, "run ended");
            }
            (Err(StoreError::Fired { .. } | StoreError::Requested { .. }), at) => {
                tracing::debug!(%drill, %run, "another process was faster");
                if at.is_none() {
                    self.give_up(run).await;
                }
            }
            (Err(StoreError::Cancelled), None) => {
                tracing::info!(%drill, %run, "was taken back elsewhere before it began");
            }
            (Err(StoreError::Busy { run: other, .. }), None) => {
                tracing::info!(%drill, %run, %other, "waits for a run in another process");
                let rests = self.parts.clock.now() + ROOM_AGAIN;
                self.wait_on(one.rested(rests), Reason::Overlap).await;
            }
            (Err(StoreError::NoRoom { limit }), _) => {
                tracing::debug!(%drill, %run, limit, "there is no room for a run");
                let now = self.parts.clock.now();
                let rests = now + ROOM_AGAIN;
                if limit == Limits::ALL_RUNS {
                    self.full_until = Some(rests);
                }
                // So that it is not tried again before there is room here.
                let mut one = one.sharing(self.parts.launch.learnt(&drill));
                one.lacks(limit, now);
                self.wait_on(one.rested(rests), Reason::Budget).await;
            }
            (Err(StoreError::Busy { run: other, .. }), Some(at)) if one.drill.looks().is_some() => {
                tracing::info!(%drill, %other, "a backup waits for a run in another process");
                self.try_again(&drill, Some(at));
            }
            (Err(StoreError::Busy { run: other, .. }), Some(at)) => {
                tracing::info!(%drill, %other, "runs in another process");
                self.meet(one, at, other).await;
            }
            (Err(error), at) => {
                tracing::error!(%drill, %run, error = %said(&error), "run could not be kept");
                self.try_again(&drill, at);
            }
        }
    }

    /// Notes that a fire time has no run, as somebody cancelled it; gives whether
    /// that could be noted. If not, it is when the fire time is found again.
    async fn cancelled(&mut self, drill: &DrillName, scheduled_for: Timestamp) -> bool {
        self.cancelled.insert((drill.clone(), scheduled_for));
        let passed = missed(scheduled_for, Reason::Cancelled);
        self.pass(vec![(drill.clone(), passed)]).await
    }

    /// Somebody has cancelled a run that was about to begin.
    async fn taken_back(&mut self, drill: &DrillName, one: &Waiting) {
        tracing::info!(%drill, run = %one.id, "was cancelled before it began, or could not be kept");
        match one.fire {
            Some(fire) => {
                self.cancelled(drill, fire.scheduled_for).await;
            }
            None => self.give_up(one.id).await,
        }
    }

    /// The run of a fire time may not have begun. If it has, the history says so.
    fn try_again(&mut self, name: &DrillName, scheduled_for: Option<Timestamp>) {
        if let (Some(kept), Some(at)) = (self.drills.get_mut(name), scheduled_for) {
            kept.settled = kept.settled.min(at - Duration::from_micros(1));
            let again = self.parts.clock.now() + AGAIN;
            self.queue.put(name, Some(again));
        }
    }
}

fn missed(scheduled_for: Timestamp, reason: Reason) -> Missed {
    Missed {
        scheduled_for,
        reason,
    }
}

/// An error with its cause, on one line.
fn said(error: &StoreError) -> String {
    Failure::from(error).message
}
