//! Drills, and runs that somebody asks for.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Api, problem::Problem, runs::Summary, scope::Scope, trend::Conclusion};
use crate::{
    domain::{
        ids::{DrillName, RunId},
        objective::millis,
        summary::RunSummary,
    },
    history::{Filter, tallies::AsOfNow},
    runner::{overrides::Overrides, store::StoreError},
    service::{DrillState, Refused, State as Doing},
};

/// A drill as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Drill")]
pub struct Shown<'a> {
    name: &'a DrillName,
    engine: &'static str,
    labels: &'a BTreeMap<String, String>,
    schedule: Option<ShownSchedule<'a>>,
    rto_target_ms: Option<u64>,
    rpo_target_ms: Option<u64>,
    state: ShownState,
    /// The run that goes on or waits.
    run: Option<RunId>,
    /// Since when it does.
    since: Option<Timestamp>,
    /// When it starts next by itself.
    starts_at: Option<Timestamp>,
    /// How its newest run ended whose verdict is drawn.
    last_conclusion: Option<Conclusion>,
}

/// When a drill runs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Schedule")]
struct ShownSchedule<'a> {
    /// The times, where it has some.
    cron: Option<&'a str>,
    /// It runs whenever there is a new backup.
    after_each_backup: bool,
    time_zone: &'a str,
    suspended: bool,
}

/// What a drill does now.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "DrillState")]
#[serde(rename_all = "snake_case")]
enum ShownState {
    Idle,
    /// There is no room for it yet.
    Waiting,
    Running,
}

/// All drills.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Drills<'a> {
    /// By name.
    drills: Vec<Shown<'a>>,
    /// Files that cannot be used: what they said before holds.
    broken_files: Vec<Broken<'a>>,
}

/// A file that cannot be used.
#[derive(Debug, Serialize, JsonSchema)]
struct Broken<'a> {
    file: &'a std::path::Path,
    error: &'a str,
}

/// A drill with its newest run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DrillDetail<'a> {
    #[serde(flatten)]
    drill: Shown<'a>,
    last_run: Option<Summary>,
}

/// A run that will start as soon as there is room for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    run: RunId,
}

impl<'a> Shown<'a> {
    /// A drill, for those who may know of what is in `scope`.
    fn new(one: &'a DrillState, counted: &AsOfNow, scope: &Scope) -> Self {
        let drill = &one.drill;
        let tally = counted.tallies.get(drill.name.as_str());
        let newest = tally.and_then(|tally| tally.as_ref()?.newest.as_ref());
        let newest = newest.filter(|run| scope.covers_namespace(run.namespace.as_deref()));
        let (state, run, since) = match one.state {
            Doing::Idle => (ShownState::Idle, None, None),
            Doing::Waiting { run, since } => (ShownState::Waiting, Some(run), Some(since)),
            Doing::Running { run, since } => (ShownState::Running, Some(run), Some(since)),
        };
        Self {
            name: &drill.name,
            engine: drill.engine,
            labels: &drill.labels,
            schedule: drill.schedule.as_ref().map(|schedule| ShownSchedule {
                cron: schedule.trigger.calendar().map(|at| at.cron.as_str()),
                after_each_backup: schedule.trigger.looks().is_some(),
                time_zone: schedule.trigger.zone().name(),
                suspended: schedule.suspended,
            }),
            rto_target_ms: drill.objectives.rto.map(millis),
            rpo_target_ms: drill.objectives.rpo.map(millis),
            state,
            run,
            since,
            starts_at: one.starts_at,
            last_conclusion: newest.map(Conclusion::from),
        }
    }
}

/// All drills, by name, and the files that cannot be used.
pub async fn list(State(api): State<Arc<Api>>, scope: Scope) -> Result<Response, Problem> {
    let mut drills = api.service.status().await?.drills;
    let counted = api.counted.lately(&*api.history, &*api.clock).await;
    let catalog = api.catalog.borrow();
    let told = if scope.is_all() {
        let broken = catalog.broken();
        let write = |drills: &[DrillState]| all((drills, &counted), &scope, broken);
        api.told.answer(drills, counted.version, broken, write)
    } else {
        drills.retain(|one| scope.holds(&one.drill));
        // Nobody knows whose drills a broken file has.
        all((&drills, &counted), &scope, &BTreeMap::new()).map(Bytes::from)
    };
    let told =
        told.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, told).into_response())
}

/// There may be thousands: so they are written as they lie there.
fn all(
    (drills, counted): (&[DrillState], &AsOfNow),
    scope: &Scope,
    broken: &BTreeMap<PathBuf, String>,
) -> serde_json::Result<Vec<u8>> {
    let broken = broken.iter().map(|(file, error)| Broken { file, error });
    let drills = drills.iter().map(|one| Shown::new(one, counted, scope));
    let shown = Drills {
        drills: drills.collect(),
        broken_files: broken.collect(),
    };
    serde_json::to_vec(&shown)
}

/// One drill with its newest run.
pub async fn one(
    State(api): State<Arc<Api>>,
    scope: Scope,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let asked = name.parse().map_err(|_| nobody(&name))?;
    let found = api.service.drill(asked).await?;
    let found = found.filter(|one| scope.holds(&one.drill));
    let found = found.ok_or_else(|| nobody(&name))?;
    let counted = api.counted.lately(&*api.history, &*api.clock).await;
    let newest = newest(&api, &found.drill.name).await?;
    let newest = newest.filter(|run| scope.covers(run.workload.as_ref()));
    let detail = DrillDetail {
        drill: Shown::new(&found, &counted, &scope),
        last_run: newest.map(Summary::from),
    };
    Ok(Json(detail).into_response())
}

async fn newest(api: &Api, drill: &DrillName) -> Result<Option<RunSummary>, StoreError> {
    let filter = Filter {
        drills: Some(vec![drill.to_string()]),
        limit: Some(1),
        ..Filter::default()
    };
    Ok(api.history.summaries(&filter).await?.pop())
}

/// Asks for a run; it starts as soon as there is room.
pub async fn run(
    State(api): State<Arc<Api>>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let name: DrillName = name.parse().map_err(|_| nobody(&name))?;
    if !scope.knows(&api, name.as_str()) {
        return Err(nobody(name.as_str()));
    }
    let key = key(&headers)?;
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let run = ask_for(&api, name, key, overrides(&body)?).await;
    let run = run.map_err(|refused| match refused {
        // Whose run that was is not everybody's to know.
        Refused::Requested { drill, .. } if !scope.knows(&api, drill.as_str()) => {
            let detail = "this Idempotency-Key was used for another drill";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        refused => refused.into(),
    })?;
    let place = [("location", format!("/api/v1/runs/{run}"))];
    Ok((StatusCode::ACCEPTED, place, Json(Accepted { run })).into_response())
}

async fn ask_for(
    api: &Api,
    name: DrillName,
    key: Option<String>,
    overrides: Overrides,
) -> Result<RunId, Refused> {
    let known = match &key {
        Some(key) => api.history.requested(key).await?,
        None => None,
    };
    match known {
        Some(record) if record.drill == name.as_str() => Ok(record.id),
        Some(record) => {
            let (drill, run) = (record.drill.parse().unwrap_or(name), record.id);
            Err(Refused::Requested { drill, run })
        }
        None => {
            if key.is_none() {
                not_elsewhere(api, &name).await?;
            }
            api.service.run(name, key, overrides).await
        }
    }
}

/// Refuses where another process runs the drill: this one's keeper does not
/// know of that.
async fn not_elsewhere(api: &Api, drill: &DrillName) -> Result<(), Refused> {
    let newest = newest(api, drill).await?;
    match newest.filter(|newest| newest.verdict.is_none()) {
        Some(live) => Err(Refused::Running {
            drill: drill.clone(),
            run: live.id,
        }),
        None => Ok(()),
    }
}

/// What is to be different in the run; nothing without a body.
fn overrides(body: &[u8]) -> Result<Overrides, Problem> {
    if body.is_empty() {
        return Ok(Overrides::default());
    }
    let wrong = |error: serde_json::Error| {
        Problem::invalid(format!("the body is no overrides of a run: {error}"))
    };
    // A list of values would be taken for fields, too.
    let given: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(wrong)?;
    serde_json::from_value(given.into()).map_err(wrong)
}

/// What the asker calls the request, so that asking again asks for nothing new.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const LONGEST: usize = 255;
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| !text.is_empty());
    let text = text.filter(|text| text.len() <= LONGEST);
    let wrong = || {
        Problem::invalid(format!(
            "Idempotency-Key must be 1 to {LONGEST} characters of ASCII"
        ))
    };
    text.map(|text| Some(text.to_owned())).ok_or_else(wrong)
}

fn nobody(name: &str) -> Problem {
    Problem::not_found(format!("there is no drill {name}"))
}
