//! Drills, and runs that somebody asks for.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Api, problem::Problem, runs::Summary};
use crate::{
    domain::{ids::DrillName, objective::millis},
    history::Filter,
    service::{DrillState, State as Doing},
};

/// A drill as it stands.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    engine: &'static str,
    labels: Value,
    schedule: Option<Value>,
    rto_target_ms: Option<u64>,
    rpo_target_ms: Option<u64>,
    state: &'static str,
    /// The run that goes on or waits.
    run: Option<String>,
    since: Option<jiff::Timestamp>,
    starts_at: Option<jiff::Timestamp>,
}

impl From<&DrillState> for Shown {
    fn from(one: &DrillState) -> Self {
        let drill = &one.drill;
        let (state, run, since) = match one.state {
            Doing::Idle => ("idle", None, None),
            Doing::Waiting { run, since } => ("waiting", Some(run), Some(since)),
            Doing::Running { run, since } => ("running", Some(run), Some(since)),
        };
        Self {
            name: drill.name.to_string(),
            engine: drill.workload.engine(),
            labels: json!(drill.labels),
            schedule: drill.schedule.as_ref().map(|schedule| {
                json!({
                    "cron": schedule.calendar.cron.to_string(),
                    "time_zone": schedule.calendar.zone.name(),
                    "suspended": schedule.suspended,
                })
            }),
            rto_target_ms: drill.objectives.rto.map(millis),
            rpo_target_ms: drill.objectives.rpo.map(millis),
            state,
            run: run.map(|run| run.to_string()),
            since,
            starts_at: one.starts_at,
        }
    }
}

/// All drills, by name, and the files that cannot be used.
pub async fn list(State(api): State<Arc<Api>>) -> Result<Json<Value>, Problem> {
    let status = api.service.status().await?;
    let drills: Vec<Shown> = status.drills.iter().map(Shown::from).collect();
    let catalog = api.catalog.borrow();
    let broken = catalog.broken().iter();
    let broken: Vec<_> = broken
        .map(|(file, error)| json!({ "file": file, "error": error }))
        .collect();
    Ok(Json(json!({ "drills": drills, "broken_files": broken })))
}

/// One drill with its newest run.
pub async fn one(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let status = api.service.status().await?;
    let found = status
        .drills
        .iter()
        .find(|one| one.drill.name.as_str() == name);
    let found = found.ok_or_else(|| nobody(&name))?;
    let newest = Filter {
        drill: Some(name),
        limit: Some(1),
        ..Filter::default()
    };
    let newest = api.history.list(&newest).await?;
    let mut shown = json!(Shown::from(found));
    shown["last_run"] = json!(newest.first().map(Summary::from));
    Ok(Json(shown))
}

/// Asks for a run; it starts as soon as there is room.
pub async fn run(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let name: DrillName = name.parse().map_err(|_| nobody(&name))?;
    let run = api.service.run(name).await?;
    let place = [("location", format!("/api/v1/runs/{run}"))];
    Ok((StatusCode::ACCEPTED, place, Json(json!({ "run": run }))).into_response())
}

fn nobody(name: &str) -> Problem {
    Problem::not_found(format!("there is no drill {name}"))
}
