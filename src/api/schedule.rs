//! What will run when, and what became of fire times.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, paging, problem::Problem, scope::Scope};
use crate::{
    domain::ids::{DrillName, RunId},
    history::agenda::{Fire, FireFilter, NoReason, Why},
    report::agenda::Line,
    service::{DrillState, State as Standing},
};

const MOST: u32 = 1_000;

/// What will run when.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Planned {
    /// The next fire times, by their starts.
    upcoming: Vec<Line>,
    /// Runs that wait in the replica that answers: for room, or for the run before.
    waiting: Vec<Waiting>,
    /// Drills that run after each new backup, whenever that is.
    after_backups: Vec<AfterBackups>,
}

/// A run that waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Waiting {
    drill: String,
    run: RunId,
    since: Timestamp,
    /// Its fire time; null where somebody asked for it.
    scheduled_for: Option<Timestamp>,
}

/// A drill that runs after each new backup.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AfterBackups {
    drill: String,
    /// How often it is looked whether there is a new one, in seconds.
    look_every_s: u64,
    /// Whether the last look has found any; null before the first one.
    found: Option<bool>,
}

impl Waiting {
    fn of(one: &DrillState) -> Option<Self> {
        let Standing::Waiting { run, since } = one.state else {
            return None;
        };
        Some(Self {
            drill: one.drill.name.to_string(),
            run,
            since,
            scheduled_for: one.scheduled_for,
        })
    }
}

impl AfterBackups {
    fn of(one: &DrillState) -> Option<Self> {
        let looks = one.drill.looks()?;
        Some(Self {
            drill: one.drill.name.to_string(),
            look_every_s: looks.every.as_secs(),
            found: one.found,
        })
    }
}

/// Fire times that were dealt with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fires {
    /// Newest first.
    fires: Vec<Fire>,
    /// `after` of the request for those that follow, if any do.
    next: Option<String>,
}

/// How many are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    next: Option<u32>,
}

/// The next fire times of all drills.
pub async fn upcoming(
    State(api): State<Arc<Api>>,
    scope: Scope,
    wanted: Result<Query<Ahead>, QueryRejection>,
) -> Result<Json<Planned>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let most = limited("next", wanted.next)?;
    let status = api.service.status().await?;
    let now = api.clock.now();
    let told = || status.drills.iter().filter(|one| scope.holds(&one.drill));
    let drills = told().map(|one| {
        // Fire times from before a schedule was first seen start nothing.
        let before = one.starts_at.map(|at| at - Duration::from_micros(1));
        let from = before.map_or(now, |before| before.max(now));
        (&one.drill.name, one.drill.schedule.as_ref(), from)
    });
    let upcoming = Line::ahead(drills, most);
    Ok(Json(Planned {
        upcoming,
        waiting: told().filter_map(Waiting::of).collect(),
        after_backups: told().filter_map(AfterBackups::of).collect(),
    }))
}

/// Which fire times are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    drill: Option<DrillName>,
    /// Why they passed without a run.
    passed: Option<String>,
    limit: Option<u32>,
    /// Where the list before ended.
    after: Option<String>,
}

/// Fire times that were dealt with, newest first: the runs that were started,
/// and why others were not.
pub async fn fires(
    State(api): State<Arc<Api>>,
    scope: Scope,
    wanted: Result<Query<Behind>, QueryRejection>,
) -> Result<Json<Fires>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let limit = u32::try_from(limited("limit", wanted.limit)?).unwrap_or(MOST);
    let filter = FireFilter {
        drills: scope.among(&api, wanted.drill.map(|drill| drill.to_string())),
        passed: wanted.passed.as_deref().map(why).transpose()?,
        after: paging::after(wanted.after.as_deref())?,
        limit,
    };
    let fires = api.history.fires(&filter).await?;
    let next = fires.last().filter(|_| fires.len() == limit as usize);
    let next = next.map(|last| paging::next(&(last.scheduled_for, last.drill.clone())));
    Ok(Json(Fires { fires, next }))
}

fn why(text: &str) -> Result<Why, Problem> {
    let why = text.parse();
    why.map_err(|error: NoReason| Problem::invalid(error.to_string()))
}

fn limited(name: &str, wanted: Option<u32>) -> Result<usize, Problem> {
    let wanted = wanted.unwrap_or(20);
    if !(1..=MOST).contains(&wanted) {
        return Err(Problem::invalid(format!("{name} must be 1 to {MOST}")));
    }
    Ok(wanted as usize)
}
