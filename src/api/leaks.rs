//! What runs have left behind, and what nobody owns.

use std::sync::Arc;

use axum::{Json, extract::State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Api, problem::Problem, scope::Scope};
use crate::domain::{
    ids::RunId,
    record::RunRecord,
    verdict::{self, Cleanup},
};

/// What could not be removed. The sweeper keeps at it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Leaks {
    /// Of runs in the history, by their requests, the oldest first.
    leaks: Vec<OfRun>,
    /// What belongs to no run that is to be ended, each with the reason, as the last
    /// sweep of the process that answers found it. As nobody knows whose it is, a token
    /// that is for some drills only is told of none.
    nobodys: Vec<verdict::Leak>,
}

/// What a run has left behind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LeaksOfRun")]
struct OfRun {
    run: RunId,
    drill: String,
    requested_at: Timestamp,
    /// Each with the reason.
    resources: Vec<verdict::Leak>,
}

impl OfRun {
    fn of(record: RunRecord) -> Option<Self> {
        match record.cleanup {
            Cleanup::Leaked { resources } => Some(Self {
                run: record.id,
                drill: record.drill,
                requested_at: record.requested_at,
                resources,
            }),
            _ => None,
        }
    }
}

/// All of them.
pub async fn list(State(api): State<Arc<Api>>, scope: Scope) -> Result<Json<Leaks>, Problem> {
    let unfinished = api.history.unfinished().await?;
    let records = unfinished.into_iter().map(|run| run.record);
    let shown = records.filter(|record| {
        scope.knows(&api, &record.drill) && scope.covers(record.workload.as_ref())
    });
    let leaks = shown.filter_map(OfRun::of).collect();
    let swept = api.sweeps.borrow().clone();
    let nobodys = swept.filter(|_| scope.is_all());
    let nobodys = nobodys.map_or_else(Vec::new, |swept| swept.nobodys.to_vec());
    Ok(Json(Leaks { leaks, nobodys }))
}
