//! Runs that wait for room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{order::unpack, shares::shares};
use crate::{
    domain::{
        budget::{Share, share_more},
        ids::{DrillName, RunId},
    },
    runner::{overrides::Overrides, store::StoreError},
    schedule::{Origin, Overlap, Reason},
    spec::packed::PackedDrill,
};

/// A run without room.
pub struct Waiting {
    pub id: RunId,
    pub drill: Arc<PackedDrill>,
    pub since: Timestamp,
    pub fire: Option<Due>,
    pub request_key: Option<String>,
    pub overrides: Overrides,
    pub shares: Vec<Share>,
    /// Not to be tried before.
    pub rests: Option<Timestamp>,
    /// The first limit that left no room for it, and since when.
    lacked: Option<(&'static str, Timestamp)>,
    /// A run of its drill in another process, whose end it waits for.
    pub behind: Option<RunId>,
    /// Whether that run, or one before it, was asked to end for it.
    pub asked: bool,
    /// Its place among those that wait, once it has one.
    place: Option<u64>,
}

/// The fire time that a run is for.
#[derive(Clone, Copy)]
pub struct Due {
    pub scheduled_for: Timestamp,
    pub starts_at: Timestamp,
    /// When it is too late to start.
    pub until: Timestamp,
}

impl Waiting {
    /// A run that is wanted at `now`, for a fire time or because somebody asks.
    ///
    /// # Errors
    /// Never for a drill that was read.
    pub fn new(
        drill: Arc<PackedDrill>,
        now: Timestamp,
        fire: Option<Due>,
        request_key: Option<String>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            id: RunId::new(now),
            shares: shares(&unpack(&drill)?),
            drill,
            since: now,
            fire,
            request_key,
            overrides: Overrides::default(),
            rests: None,
            lacked: None,
            behind: None,
            asked: false,
            place: None,
        })
    }

    /// The same run, with something different.
    pub fn with(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// It shares this, too.
    pub fn sharing(mut self, more: Vec<Share>) -> Self {
        share_more(&mut self.shares, more);
        self
    }

    /// The same run under the id that somebody else has promised.
    pub fn promised(self, id: RunId) -> Self {
        Self { id, ..self }
    }

    /// Why its run starts no more, if it does not. `runs` says whether its drill's
    /// run before goes on here.
    pub fn too_late(&self, now: Timestamp, room: bool, runs: bool) -> Option<Reason> {
        let fire = self.fire?;
        if fire.until < now || (fire.until == now && !room) {
            return Some(self.held_up_by(runs));
        }
        // What it waited for may have taken until a blackout began.
        let schedule = self.drill.schedule.as_ref();
        let prevented = schedule.filter(|_| fire.starts_at < now)?.prevented(now);
        prevented.filter(|reason| *reason == Reason::Blackout)
    }

    /// What it waits for, as the reason for a fire time that passes.
    pub fn held_up_by(&self, runs: bool) -> Reason {
        if runs || self.behind.is_some() {
            Reason::Overlap
        } else {
            Reason::Budget
        }
    }

    /// What it is for.
    pub fn origin(&self) -> Origin {
        match self.fire {
            Some(_) => Origin::Fire,
            None => Origin::Promised,
        }
    }

    /// What becomes of it where its drill is still at work.
    pub fn overlap(&self) -> Overlap {
        let schedule = self.drill.schedule.as_ref();
        schedule
            .map(|schedule| schedule.overlap)
            .unwrap_or_default()
    }

    /// Where an older one of its drill waited, and for what that did.
    pub fn in_place_of(self, older: &Self) -> Self {
        Self {
            place: older.place,
            behind: older.behind,
            rests: older.rests,
            asked: older.asked,
            ..self
        }
    }

    /// It waits on, until a run of its drill in another process has ended.
    pub fn resting_behind(self, run: RunId, until: Timestamp) -> Self {
        Self {
            rests: Some(until),
            behind: Some(run),
            ..self
        }
    }

    /// A limit leaves no room for it; the first one that does is told.
    pub fn lacks(&mut self, limit: &'static str, now: Timestamp) {
        self.lacked = self.lacked.or(Some((limit, now)));
    }

    /// It waits on, and is not tried before.
    pub fn rested(self, until: Timestamp) -> Self {
        Self {
            rests: Some(until),
            behind: None,
            ..self
        }
    }

    /// For how long a limit held it up, if one did.
    pub fn held_up(&self, now: Timestamp) -> Option<(&'static str, Duration)> {
        let (limit, since) = self.lacked?;
        let waited = Duration::try_from(now.duration_since(since));
        Some((limit, waited.unwrap_or_default()))
    }
}

/// Runs in the order in which they came, one of each drill.
#[derive(Default)]
pub struct Waitlist {
    order: BTreeMap<u64, Waiting>,
    of: HashMap<DrillName, u64>,
    came: u64,
}

impl Waitlist {
    /// Puts a run behind all others, or where it was before; its drill has none
    /// yet.
    pub fn push(&mut self, mut one: Waiting) {
        let place = one.place.unwrap_or(self.came + 1);
        self.came = self.came.max(place);
        one.place = Some(place);
        self.of.insert(one.drill.name.clone(), place);
        self.order.insert(place, one);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.order.values()
    }

    /// Those that wait for runs in other processes, and may ask again whether these
    /// have ended.
    pub fn behind(&self, now: Timestamp) -> Vec<(DrillName, RunId)> {
        let rested = |one: &&Waiting| one.rests.is_none_or(|rests| rests <= now);
        let asking = self.iter().filter(rested);
        let behind = asking.filter_map(|one| Some((one.drill.name.clone(), one.behind?)));
        behind.collect()
    }

    /// The run of a drill, to be changed.
    pub fn of_mut(&mut self, drill: &DrillName) -> Option<&mut Waiting> {
        self.order.get_mut(self.of.get(drill)?)
    }

    /// All may be tried at once.
    pub fn rest_no_more(&mut self) {
        for one in self.order.values_mut() {
            one.rests = None;
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The run of a drill.
    pub fn of(&self, drill: &DrillName) -> Option<&Waiting> {
        self.order.get(self.of.get(drill)?)
    }

    /// Takes the run of a drill out.
    pub fn take(&mut self, drill: &DrillName) -> Option<Waiting> {
        self.order.remove(&self.of.remove(drill)?)
    }

    /// The first one that came after `place`, with its place.
    pub fn after(&mut self, place: u64) -> Option<(u64, &mut Waiting)> {
        let mut later = self.order.range_mut(place + 1..);
        later.next().map(|(place, one)| (*place, one))
    }
}
