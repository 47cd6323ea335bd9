//! Runs that somebody asks for.
//!
//! A request is in the history before its run is promised. So it outlives the
//! process that was asked: any other one takes it over. Two that have the same
//! one do no harm, for its run begins once.

use std::time::Duration;

use jiff::Timestamp;

use super::{Keeper, Running};
use crate::{
    domain::ids::{DrillName, RunId},
    history::requests::Wanted,
    runner::{overrides::Overrides, store::StoreError},
    service::{order::Refused, waitlist::Waiting},
};

/// How often to look for requests that nobody begins, and how long whoever was
/// asked has for that.
const AGAIN: Duration = Duration::from_mins(1);

/// What nobody could begin for so long, nobody waits for.
const OLDEST: Duration = Duration::from_hours(24);

/// So many are looked at at once.
const SOME: u32 = 1_000;

impl Keeper {
    pub(super) async fn ask_for(
        &mut self,
        name: &DrillName,
        key: Option<String>,
        overrides: Overrides,
    ) -> Result<RunId, Refused> {
        let kept = self.drills.get(name).map(|kept| kept.drill.clone());
        let drill = kept.ok_or_else(|| Refused::Unknown(name.clone()))?;
        let same = |one: &Waiting| key.is_some() && one.request_key == key;
        let other = |one: &&Waiting| same(one) && one.drill.name != *name;
        let running = self.running.values().map(|running| &running.run);
        let running = running.into_iter().find(other);
        if let Some(one) = running.or_else(|| self.waiting.iter().find(other)) {
            let (drill, run) = (one.drill.name.clone(), one.id);
            return Err(Refused::Requested { drill, run });
        }
        if let Some(Running { run: one, .. }) = self.running.get(name) {
            let (drill, run) = (name.clone(), one.id);
            let refused = Refused::Running { drill, run };
            if same(one) {
                return Ok(run);
            }
            // Its end may be told already, and whoever has read of it may ask for
            // the next run, which then waits for what is still done after an end.
            if !self.parts.requests.is_over(run).await? {
                return Err(refused);
            }
        }
        // What waits may have been taken back elsewhere.
        self.is_taken(name).await?;
        if let Some(one) = self.waiting.of(name) {
            let (drill, run) = (name.clone(), one.id);
            let refused = Refused::Waiting { drill, run };
            return if same(one) { Ok(run) } else { Err(refused) };
        }
        let now = self.parts.clock.now();
        let asked = Waiting::new(drill, now, None, key.clone())?;
        let asked = asked.with(overrides.clone());
        let wanted = Wanted {
            run: asked.id,
            drill: name.clone(),
            key,
            overrides,
        };
        let (run, of) = self.parts.requests.ask(&wanted).await?;
        if of != name.as_str() {
            let drill = of.parse().unwrap_or_else(|_| name.clone());
            return Err(Refused::Requested { drill, run });
        }
        // Otherwise another process was asked for the same, and has it.
        if run == wanted.run {
            self.waiting.push(asked);
        }
        Ok(run)
    }

    /// Takes over requests whose runs have not begun.
    pub(super) async fn adopt(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.drills.is_empty() || self.adopts_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        // At the beginning, and where the clock was set back, nobody is waited for.
        let ago = self.adopts_at.map_or(Duration::ZERO, |_| AGAIN);
        self.adopts_at = Some(now + AGAIN);
        for old in self.parts.requests.asked(OLDEST, None, SOME).await? {
            tracing::warn!(run = %old.run, drill = %old.drill, "a request is given up");
            self.parts.requests.withdraw(old.run).await?;
        }
        let mut after = None;
        loop {
            let some = self.parts.requests.asked(ago, after, SOME).await?;
            // Those that nobody here can begin do not hide the others.
            let last = some.last().filter(|_| some.len() == SOME as usize);
            after = last.map(|last| last.run);
            for wanted in some {
                self.adopt_one(wanted, now)?;
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn adopt_one(&mut self, wanted: Wanted, now: Timestamp) -> Result<(), StoreError> {
        let kept = self.drills.get(&wanted.drill);
        let Some(kept) = kept.filter(|_| !self.is_busy(&wanted.drill)) else {
            return Ok(());
        };
        tracing::info!(run = %wanted.run, drill = %wanted.drill, "takes over a request");
        let waiting = Waiting::new(kept.drill.clone(), now, None, wanted.key)?;
        let waiting = waiting.promised(wanted.run).with(wanted.overrides);
        self.waiting.push(waiting);
        Ok(())
    }

    /// A run that cannot begin is wanted no more.
    pub(super) async fn give_up(&mut self, run: RunId) {
        if let Err(error) = self.parts.requests.withdraw(run).await {
            tracing::warn!(%run, %error, "cannot take a request back");
        }
    }
}
