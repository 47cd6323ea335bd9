//! What the keeper is asked.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{AT_ONCE, Keeper, Kept};
use crate::{
    domain::ids::{DrillName, RunId},
    history::agenda::is_ahead,
    runner::{cancel::Why, store::StoreError},
    service::{
        order::{DrillState, Heir, Order, Orphan, State, Status},
        waitlist::Waiting,
    },
    spec::packed::PackedDrill,
};

impl Keeper {
    pub(super) async fn obey(&mut self, order: Order) {
        // Who asked may have gone away meanwhile.
        match order {
            // It was told that this took too long, and may ask again.
            Order::Run { reply, .. } if reply.is_closed() => {}
            Order::Replace { drills, reply } => {
                let _ = reply.send(self.replace(drills).await);
            }
            Order::Run {
                drill,
                key,
                overrides,
                reply,
            } => {
                let _ = reply.send(self.ask_for(&drill, key, overrides).await);
            }
            Order::TakeUp { orphan, reply } => {
                let _ = reply.send(self.take_up(orphan));
            }
            Order::Cancel { run, reply } => {
                let _ = reply.send(self.cancel(run).await);
            }
            Order::Answer { reply } => {
                let _ = reply.send(());
            }
            Order::Look { reply } => {
                let _ = reply.send(self.status());
            }
            Order::LookAt { drill, reply } => {
                let kept = self.drills.get(&drill);
                let _ = reply.send(kept.map(|kept| self.state(&drill, kept)));
            }
            Order::LookFor { run, reply } => {
                let _ = reply.send(self.whose(run));
            }
        }
    }

    async fn replace(&mut self, drills: Vec<Arc<PackedDrill>>) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let settled = self.settled_of(&drills, now).await?;
        let new: HashSet<&DrillName> = drills.iter().map(|drill| &drill.name).collect();
        let gone: Vec<_> = self
            .drills
            .keys()
            .filter(|name| !new.contains(name))
            .cloned()
            .collect();
        for name in gone {
            self.drills.remove(&name);
            self.seen.remove(&name);
            self.looking.remove(&name);
            self.queue.put(&name, None);
        }
        for drill in drills {
            let name = drill.name.clone();
            let of_history = settled.get(&name).copied().unwrap_or(now);
            // What waits or has just begun may not be in the history yet.
            let before = self.drills.get(&name).map(|kept| kept.settled);
            let before = before.filter(|before| !is_ahead(*before, now));
            let settled = before.map_or(of_history, |before| before.max(of_history));
            let goes_on = self.looks_as_before(&drill);
            let next = goes_on.or_else(|| first(&drill, settled, now));
            self.queue.put(&name, next);
            self.drills.insert(name, Kept { drill, settled });
        }
        Ok(())
    }

    /// When the next look is, where backups are looked for as they were before:
    /// a file that is saved twice must not make two looks follow each other.
    fn looks_as_before(&self, drill: &PackedDrill) -> Option<Timestamp> {
        let before = &self.drills.get(&drill.name)?.drill;
        let same = before.looks()? == drill.looks()?;
        self.queue.of(&drill.name).filter(|_| same)
    }

    /// Up to which fire time drills are dealt with; of those that begin at `now`, what
    /// is still to come is not missed yet. Others can write to the history in between.
    pub(super) async fn settled_of(
        &self,
        drills: &[Arc<PackedDrill>],
        now: Timestamp,
    ) -> Result<HashMap<DrillName, Timestamp>, StoreError> {
        let mut settled = HashMap::new();
        for some in drills.chunks(AT_ONCE) {
            let scheduled = some.iter().filter_map(|drill| {
                let trigger = drill.schedule.as_ref()?.trigger.to_string();
                Some((drill.name.to_string(), trigger))
            });
            let scheduled: Vec<_> = scheduled.collect();
            let known = self.parts.agenda.settled(&scheduled, now).await?;
            let of = |drill: &Arc<PackedDrill>| {
                let at = known.get(drill.name.as_str())?;
                Some((drill.name.clone(), *at))
            };
            let some: Vec<_> = some.iter().filter_map(of).collect();
            // They are new, or a clock was far ahead: perhaps that of a process that is
            // no more, so that nobody has seen it go back.
            let anew = some.iter().filter(|(_, at)| *at == now);
            let anew: Vec<_> = anew.map(|(name, _)| name.clone()).collect();
            self.parts.agenda.is_still_to_come(&anew, now).await?;
            settled.extend(some);
        }
        Ok(settled)
    }

    /// Whatever of its drill waits goes on to wait.
    fn take_up(&mut self, orphan: Orphan) -> Heir {
        let now = self.parts.clock.now();
        let record = &orphan.run.record;
        let (id, name) = (record.id, record.drill.parse::<DrillName>());
        let kept = name.ok().and_then(|name| self.drills.get(&name));
        let Some(drill) = kept.map(|kept| kept.drill.clone()) else {
            return Heir::Nobody;
        };
        match self.running.get(&drill.name) {
            Some(running) if running.run.id == id => return Heir::Here,
            Some(_) => return Heir::Later,
            None => {}
        }
        let Ok(one) = Waiting::new(drill, now, None, record.request_key.clone()) else {
            return Heir::Nobody;
        };
        tracing::warn!(drill = %one.drill.name, run = %id, "takes up a run whose process is gone");
        self.start(one.promised(id), Some(orphan), now);
        Heir::Here
    }

    async fn cancel(&mut self, run: RunId) -> bool {
        let here = self.running.values().find(|running| running.run.id == run);
        if let Some(running) = here {
            running.cancel.cancel(Why::Asked);
            return true;
        }
        let waiting = self.waiting.iter().find(|one| one.id == run);
        let name = waiting.map(|one| one.drill.name.clone());
        let Some(one) = name.and_then(|name| self.waiting.take(&name)) else {
            return false;
        };
        if let Some(fire) = one.fire {
            return self.cancelled(&one.drill.name, fire.scheduled_for).await;
        }
        // Where there is none any more, another process has begun it, or it was
        // taken back there.
        self.parts
            .requests
            .withdraw(run)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%run, %error, "cannot take a request back");
                self.waiting.push(one);
                false
            })
    }

    fn status(&self) -> Status {
        let drills = self.drills.iter();
        Status {
            drills: drills.map(|(name, kept)| self.state(name, kept)).collect(),
            waiting: self.waiting.len(),
            running: self.running.len(),
        }
    }

    /// The drill of which a run goes on, or waits.
    fn whose(&self, run: RunId) -> Option<DrillState> {
        let running = self.running.values().map(|running| &running.run);
        let one = running
            .chain(self.waiting.iter())
            .find(|one| one.id == run)?;
        let kept = self.drills.get(&one.drill.name)?;
        Some(self.state(&one.drill.name, kept))
    }

    fn state(&self, name: &DrillName, kept: &Kept) -> DrillState {
        let running = self.running.get(name).map(|running| State::Running {
            run: running.run.id,
            since: running.since,
        });
        let waiting = self.waiting.of(name).map(|one| State::Waiting {
            run: one.id,
            since: one.since,
        });
        let one = self.running.get(name).map(|running| &running.run);
        let fire = one.or(self.waiting.of(name)).and_then(|one| one.fire);
        DrillState {
            drill: kept.drill.clone(),
            state: running.or(waiting).unwrap_or(State::Idle),
            scheduled_for: fire.map(|fire| fire.scheduled_for),
            starts_at: self.queue.of(name).filter(|_| kept.drill.looks().is_none()),
            found: kept.drill.looks().map(|_| self.seen.contains_key(name)),
        }
    }
}

/// When there is first something to do for a drill.
fn first(drill: &PackedDrill, settled: Timestamp, now: Timestamp) -> Option<Timestamp> {
    if let Some(looks) = drill.looks() {
        return Some(looks.first(drill.name.as_str(), now));
    }
    let schedule = drill.schedule.as_ref()?;
    let first = schedule.upcoming(drill.name.as_str(), settled).next()?;
    Some(first.starts_at)
}
