//! Runs that were and that are.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State as Shared},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, paging, problem::Problem, promised, scope::Scope};
use crate::{
    domain::{
        check::Proof,
        ids::{DrillName, RunId},
        objective::{Measured, RpoBasis},
        record::RunRecord,
        summary::RunSummary,
        verdict::Verdict,
    },
    history::{Filter, Place, filter::NoVerdict},
    report,
    runner::cancel::Why,
};

/// No answer has more runs.
const MOST: u32 = 100;
const USUAL: u32 = 20;

/// A run on one line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RunSummary")]
pub struct Summary {
    id: RunId,
    drill: String,
    engine: String,
    requested_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    verdict: Option<Verdict>,
    reasons: Vec<String>,
    negative_control: bool,
    proof: Proof,
    rto: Measured,
    rpo: Measured,
    rpo_basis: Option<RpoBasis>,
    clean: bool,
}

impl From<RunSummary> for Summary {
    fn from(run: RunSummary) -> Self {
        Self {
            id: run.id,
            drill: run.drill,
            engine: run.engine,
            requested_at: run.requested_at,
            scheduled_for: run.scheduled_for,
            finished_at: run.finished_at,
            verdict: run.verdict,
            reasons: run.reasons,
            negative_control: run.negative_control,
            proof: run.proof,
            rto: run.rto,
            rpo: run.rpo.objective,
            rpo_basis: run.rpo.basis,
            clean: run.clean,
        }
    }
}

/// Some runs, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    runs: Vec<Summary>,
    /// `after` of the request for those that follow, if any do.
    next: Option<String>,
}

/// Which runs are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    drill: Option<DrillName>,
    /// One or several, with commas between them.
    verdict: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    negative_control: Option<bool>,
    limit: Option<u32>,
    /// Where the list before ended.
    after: Option<String>,
}

impl Wanted {
    fn filter(self, api: &Api, scope: &Scope) -> Result<Filter, Problem> {
        let after = paging::after(self.after.as_deref())?;
        let verdicts = self.verdict.as_deref();
        let conclusions = verdicts.map(|all| all.split(',').map(str::parse).collect());
        let conclusions = conclusions.transpose();
        Ok(Filter {
            drills: scope.among(api, self.drill.map(|drill| drill.to_string())),
            conclusions: conclusions
                .map_err(|error: NoVerdict| Problem::invalid(error.to_string()))?,
            since: self.since,
            until: self.until,
            negative_control: self.negative_control,
            after: after.map(|(requested_at, id)| Place { requested_at, id }),
            limit: Some(paging::limit(self.limit, USUAL, MOST)?),
        })
    }
}

/// Runs, newest first.
pub async fn list(
    Shared(api): Shared<Arc<Api>>,
    scope: Scope,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let filter = wanted.filter(&api, &scope)?;
    let runs = api.history.summaries(&filter).await?;
    let next = runs
        .last()
        .filter(|_| Some(runs.len()) == filter.limit.map(|limit| limit as usize));
    let next = next.map(|last| paging::next(&(last.requested_at, last.id)));
    let covered = |run: &RunSummary| scope.covers(run.workload.as_ref());
    let runs = runs.into_iter().filter(covered);
    let runs = runs.map(Summary::from).collect();
    Ok(Json(Page { runs, next }))
}

/// One run, whole: see `docs/run-json.md`. Of one that has not begun, what is known.
pub async fn one(
    Shared(api): Shared<Arc<Api>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<RunRecord>, Problem> {
    let found = promised::look(&api, &scope, parse(&id)?).await?;
    Ok(Json(found.record))
}

/// The report of a run, as a page.
pub async fn report(
    Shared(api): Shared<Arc<Api>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Html<String>, Problem> {
    let record = find(&api, &scope, &id).await?;
    let page = report::html::run(&record);
    page.map(Html)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// Ends a run early. It gives back what it holds.
pub async fn cancel(
    Shared(api): Shared<Arc<Api>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    if !scope.is_all() {
        // What has not begun yet is only promised, here or elsewhere.
        match api.history.request_of(id).await? {
            Some(wanted) if scope.knows(&api, wanted.drill.as_str()) => {}
            Some(_) => return Err(nobody(&id.to_string())),
            None if promised::here(&api, &scope, id).await?.is_some() => {}
            None => drop(find(&api, &scope, &id.to_string()).await?),
        }
    }
    // It may begin in this very moment, here or elsewhere: so all are told, and
    // whoever has not begun it yet first.
    let withdrawn = api.history.withdraw(id).await?;
    let here = api.service.cancel(id).await?;
    let elsewhere = api.history.ask_to_end(id, Why::Asked).await?;
    if withdrawn || here || elsewhere {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    let record = find(&api, &scope, &id.to_string()).await?;
    let detail = match record.finished_at {
        Some(_) => format!("run {id} has ended"),
        None => format!("run {id} has its verdict, and is giving back what it holds"),
    };
    Err(Problem::new(StatusCode::CONFLICT, detail))
}

/// A run that has begun.
pub async fn find(api: &Api, scope: &Scope, id: &str) -> Result<RunRecord, Problem> {
    let id = parse(id)?;
    let found = begun(api, id).await?;
    found
        .filter(|record| is_shown(api, scope, record))
        .ok_or_else(|| nobody(&id.to_string()))
}

/// The same, whoever may know of it.
pub async fn begun(api: &Api, id: RunId) -> Result<Option<RunRecord>, Problem> {
    Ok(api.history.find(&id.to_string()).await?.pop())
}

pub fn is_shown(api: &Api, scope: &Scope, record: &RunRecord) -> bool {
    scope.knows(api, &record.drill) && scope.covers(record.workload.as_ref())
}

/// A part of an id may become ambiguous any time: only whole ones are taken.
pub fn parse(id: &str) -> Result<RunId, Problem> {
    id.parse().map_err(|_| nobody(id))
}

pub fn nobody(id: &str) -> Problem {
    Problem::not_found(format!("there is no run {id}"))
}
