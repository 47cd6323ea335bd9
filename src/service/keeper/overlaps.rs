//! Fire times at which their drill is still at work.
//!
//! What waits for the run before waits where all do that lack room: so it comes
//! when that run has given everything back, and not later than it may start.

use jiff::Timestamp;

use super::{AGAIN, Keeper, ROOM_AGAIN, missed, said};
use crate::{
    domain::ids::{DrillName, RunId},
    runner::{cancel::Why, store::StoreError},
    schedule::{Before, Overlap, Plan, Reason, Turn},
    service::waitlist::Waiting,
};

impl Keeper {
    /// What there is of a drill already.
    pub(super) async fn before(&mut self, name: &DrillName) -> Result<Before, StoreError> {
        self.is_taken(name).await?;
        Ok(Before {
            runs: self.running.get(name).map(|running| running.run.origin()),
            waits: self.waiting.of(name).map(Waiting::origin),
        })
    }

    /// Lets that fire time of a plan pass whose turn it is not: the one that is
    /// due, or an older one that waits.
    pub(super) fn give_turn(&mut self, name: &DrillName, turn: Turn, plan: &mut Plan) {
        // What could not be noted is found again, and so is what came after it.
        let Some(due) = plan.due.take_if(|due| self.has(name, due.scheduled_for)) else {
            return self.give_new_turn(name, turn, plan);
        };
        tracing::debug!(drill = %name, at = %due.scheduled_for, "has its run already");
        self.settled(name, due.scheduled_for);
    }

    fn give_new_turn(&self, name: &DrillName, turn: Turn, plan: &mut Plan) {
        let Some(at) = plan.due.map(|due| due.scheduled_for) else {
            return;
        };
        let cancelled = self.is_cancelled(name, at);
        if cancelled || turn == Turn::Others {
            let reason = if cancelled {
                Reason::Cancelled
            } else {
                Reason::Overlap
            };
            plan.due = None;
            plan.passed.push(missed(at, reason));
        } else if let Some(older) = self.waiting.of(name)
            && let Some(fire) = older.fire
            && !plan.passes(fire.scheduled_for)
        {
            let reason = older.held_up_by(self.running.contains_key(name));
            plan.passed.push(missed(fire.scheduled_for, reason));
        }
    }

    /// Whether a fire time waits, or has a run that begins or goes on here.
    fn has(&self, name: &DrillName, scheduled_for: Timestamp) -> bool {
        let running = self.running.get(name).map(|running| &running.run);
        let mut runs = self.waiting.of(name).into_iter().chain(running);
        runs.any(|one| {
            one.fire
                .is_some_and(|fire| fire.scheduled_for == scheduled_for)
        })
    }

    /// Lets a fire time wait for its beginning, in the place of an older one if
    /// there is one, and ends the run that goes on where it is to.
    pub(super) fn come(&mut self, one: Waiting, turn: Turn) {
        let name = one.drill.name.clone();
        let one = match self.waiting.take(&name) {
            Some(older) => one.in_place_of(&older),
            None => one,
        };
        self.waiting.push(one);
        if turn == Turn::ItsAtOnce
            && let Some(running) = self.running.get(&name)
        {
            tracing::info!(drill = %name, run = %running.run.id, "is ended for the next run");
            running.cancel.cancel(Why::Replaced);
        }
    }

    /// A run goes on in another process at a fire time.
    pub(super) async fn meet(&mut self, mut one: Waiting, at: Timestamp, other: RunId) {
        let name = one.drill.name.clone();
        match one.overlap() {
            Overlap::Skip => {
                self.pass(vec![(name, missed(at, Reason::Overlap))]).await;
                return;
            }
            // Once is enough: what began since then is not older than this one.
            Overlap::Replace if !one.asked => {
                one.asked = true;
                // Once it was asked it hears of it, sooner or later.
                let asked = self.parts.replicas.ask_to_end(other, Why::Replaced).await;
                if let Err(error) = asked {
                    tracing::warn!(drill = %name, run = %other, error = %said(&error), "cannot ask it to end");
                    return self.try_again(&name, Some(at));
                }
            }
            Overlap::Wait | Overlap::Replace => {}
        }
        let rests = self.parts.clock.now() + ROOM_AGAIN;
        let one = one.resting_behind(other, rests);
        self.wait_on(one, Reason::Overlap).await;
    }

    /// Puts a run back that has not begun. Where a fire time of its drill has come
    /// to wait meanwhile, one of the two passes: the older one, unless it is a run
    /// that somebody was promised.
    pub(super) async fn wait_on(&mut self, one: Waiting, reason: Reason) {
        let name = one.drill.name.clone();
        let Some(newer) = self.waiting.of(&name).map(|newer| newer.fire) else {
            return self.waiting.push(one);
        };
        let passes = match (one.fire, newer) {
            (Some(fire), _) => missed(fire.scheduled_for, reason),
            (None, Some(fire)) => {
                self.waiting.take(&name);
                self.waiting.push(one);
                missed(fire.scheduled_for, Reason::Overlap)
            }
            // Both are in the history, where this one is found again.
            (None, None) => return,
        };
        self.pass(vec![(name, passes)]).await;
    }

    /// Lets those go on that have waited for a run of another process, where that
    /// has given everything back, or cannot: a verdict alone does not say so.
    pub(super) async fn hear_of_ends(&mut self, now: Timestamp) {
        let behind = self.waiting.behind(now);
        if behind.is_empty() {
            return;
        }
        let runs: Vec<RunId> = behind.iter().map(|(_, run)| *run).collect();
        let holding = self.parts.requests.holding(&runs).await;
        let holding = holding.inspect_err(|error| {
            tracing::warn!(error = %said(error), "cannot see which runs have ended");
        });
        let now = self.parts.clock.now();
        for (name, run) in behind {
            let Some(one) = self.waiting.of_mut(&name) else {
                continue;
            };
            (one.behind, one.rests) = match &holding {
                Ok(holding) if !holding.contains(&run) => (None, None),
                Ok(_) => (Some(run), Some(now + ROOM_AGAIN)),
                Err(_) => (Some(run), Some(now + AGAIN)),
            };
        }
    }
}
