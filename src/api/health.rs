//! How the service itself is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    BoxError, Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    Api,
    problem::{Problem, too_long},
    scope::Scope,
};
use crate::{
    domain::record::RECORD_SCHEMA,
    history::Filter,
    metrics::{Kept, Scene},
    runner::store::StoreError,
    service::Status,
};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether all is done that comes before the first answer.
#[derive(Debug, Default)]
pub struct Started(AtomicBool);

impl Started {
    /// From now on it is.
    pub fn done(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn answer(&self) -> Result<&'static str, Problem> {
        if self.0.load(Ordering::Acquire) {
            return Ok("ok\n");
        }
        let detail = "the service is looking at its history and reading its drill files";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    }
}

/// The history was looked at, what was left here is swept, and the drills are known.
pub async fn started(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    api.started.answer()
}

/// The history can be read and the keeper answers.
pub async fn ready(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    api.service.answers().await?;
    let any = Filter {
        limit: Some(1),
        ..Filter::default()
    };
    match api.history.summaries(&any).await {
        // One that perhaps only a newer version understands was read all the same.
        Ok(_) | Err(StoreError::Inconsistent { .. }) => Ok("ok\n"),
        Err(error) => Err(error.into()),
    }
}

/// Who answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Version {
    version: &'static str,
    /// The `schema` of its runs.
    record_schema: &'static str,
}

pub async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION"),
        record_schema: RECORD_SCHEMA,
    })
}

/// Sweeps now, which concerns the drills of all.
pub async fn sweep(State(api): State<Arc<Api>>, scope: Scope) -> Result<Json<Value>, Problem> {
    if !scope.is_all() {
        let detail = "a sweep concerns drills that this token is not for";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Json(api.housekeeping.sweep().await?))
}

/// While the keeper waits for the history, how things stood when it last said so is
/// good enough for a scrape, which does not wait for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// How things stood when a scrape last asked.
#[derive(Default)]
pub struct Stood(Mutex<Option<Arc<Status>>>);

impl Api {
    async fn status_for_metrics(&self) -> Result<Arc<Status>, Problem> {
        let last = || self.stood.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = tokio::time::timeout(PATIENCE, self.service.status()).await;
        match asked {
            Ok(status) => {
                let status = Arc::new(status?);
                *last() = Some(status.clone());
                Ok(status)
            }
            Err(_) => last().clone().ok_or_else(too_long),
        }
    }
}

/// The page that Prometheus scrapes.
pub async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let status = api.status_for_metrics().await?;
    let broken = api.catalog.borrow().broken().len();
    let scene = Scene {
        drills: status
            .drills
            .iter()
            .map(|one| Kept {
                drill: one.drill.clone(),
                starts_at: one.starts_at,
                found: one.found,
            })
            .collect(),
        broken,
        running: status.running,
        waiting: status.waiting,
        sweep: api.sweeps.borrow().clone(),
    };
    let page = api.board.page(&*api.history, scene, api.clock.now()).await;
    let page =
        page.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    // Of many drills, a part takes some time, and the whole much room.
    let parts = stream::try_unfold((page, 0), |(page, number)| async move {
        let part = move || (page.part(number), page);
        let (part, page) = tokio::task::spawn_blocking(part).await?;
        let part = part.transpose()?;
        Ok::<_, BoxError>(part.map(|part| (part, (page, number + 1))))
    });
    let kind = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    Ok((kind, Body::from_stream(parts)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_started_once_all_is_done() {
        let started = Started::default();
        let response = started.answer().into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        started.done();
        assert_eq!(started.answer().into_response().status(), StatusCode::OK);
    }
}
