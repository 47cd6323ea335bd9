//! What runs have left behind.

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
    /// By their requests, the oldest first.
    leaks: Vec<OfRun>,
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
    Ok(Json(Leaks { leaks }))
}
