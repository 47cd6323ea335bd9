//! How a drill goes: its newest conclusion, and all of them as points.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, paging, problem::Problem, scope::Scope};
use crate::{
    domain::{
        check::Proof,
        ids::{DrillName, RunId},
        tally::Newest,
        verdict::Verdict,
    },
    history::tallies::{self, Trend},
};

/// No answer has more points: those of a year, of a drill that runs every night.
const MOST: u32 = 1000;
const USUAL: u32 = 20;

/// How the newest run of a drill ended, negative controls aside.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conclusion {
    run: RunId,
    requested_at: Timestamp,
    concluded_at: Timestamp,
    verdict: Verdict,
    /// In milliseconds; of a run with accelerators or an interruption there is none.
    rto_ms: Option<u64>,
    rpo_ms: Option<u64>,
    proof: Proof,
}

impl From<&Newest> for Conclusion {
    fn from(newest: &Newest) -> Self {
        Self {
            run: newest.run,
            requested_at: newest.requested_at,
            concluded_at: newest.concluded_at,
            verdict: newest.verdict,
            rto_ms: newest.rto_ms,
            rpo_ms: newest.rpo_ms,
            proof: newest.proof,
        }
    }
}

/// Runs of a drill whose verdict is drawn, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Trend")]
pub struct Shown {
    points: Vec<Point>,
    /// `after` of the request for those that follow, if any do.
    next: Option<String>,
}

/// A run in a trend.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TrendPoint")]
struct Point {
    run: RunId,
    concluded_at: Timestamp,
    verdict: Verdict,
    /// In milliseconds; of a run with accelerators or an interruption there is none.
    rto_ms: Option<u64>,
    rpo_ms: Option<u64>,
    /// `null` for a run of an older version that is not counted yet: its figures
    /// are not known, either.
    proof: Option<Proof>,
    negative_control: bool,
}

impl From<tallies::Point> for Point {
    fn from(point: tallies::Point) -> Self {
        Self {
            run: point.run,
            concluded_at: point.concluded_at,
            verdict: point.verdict,
            rto_ms: point.rto_ms,
            rpo_ms: point.rpo_ms,
            proof: point.proof,
            negative_control: point.negative_control,
        }
    }
}

/// Which points are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    limit: Option<u32>,
    /// Where the answer before ended.
    after: Option<String>,
}

/// The trend of a drill, of one that is in no file any more, too.
pub async fn of_drill(
    State(api): State<Arc<Api>>,
    scope: Scope,
    Path(name): Path<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    let nobody = || Problem::not_found(format!("there is no drill {name}"));
    let drill: DrillName = name.parse().map_err(|_| nobody())?;
    if !scope.knows(&api, drill.as_str()) {
        return Err(nobody());
    }
    let Query(wanted) = wanted.map_err(|error| Problem::invalid(error.body_text()))?;
    let limit = paging::limit(wanted.limit, USUAL, MOST)?;
    let asked = Trend {
        drill: drill.to_string(),
        namespaces: scope.within(),
        after: paging::after(wanted.after.as_deref())?,
        // Whether there are more.
        limit: limit + 1,
    };
    let mut points = api.history.trend(&asked).await?;
    if points.is_empty() && api.catalog.borrow().drill(drill.as_str()).is_none() {
        return Err(nobody());
    }
    let more = points.len() > limit as usize;
    points.truncate(limit as usize);
    let next = points.last().filter(|_| more);
    let next = next.map(|last| paging::next(&(last.concluded_at, last.run)));
    let points = points.into_iter().map(Point::from).collect();
    Ok(Json(Shown { points, next }))
}
