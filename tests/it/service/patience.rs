//! Requests that take too long, of a service that is asked without a socket.

use std::{
    io::{self, Read, Seek},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use futures_util::stream;
use lifeboat::{
    api::{self, Api, Housekeeping},
    catalog::Catalog,
    domain::{budget::Limits, failure::Failure},
    history::tallies::Followed,
    metrics::{Board, Meters},
};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::stage::Stage;

/// Finds nothing to sweep.
struct Tidy;

#[async_trait]
impl Housekeeping for Tidy {
    async fn sweep(&self) -> Result<Value, Failure> {
        Ok(Value::Null)
    }
}

/// What tells of a stage, to anybody on this machine.
fn api(stage: &Stage) -> Arc<Api> {
    let counted = Arc::new(Followed::default());
    let meters = Arc::new(Meters::new(Arc::default()).unwrap());
    Arc::new(Api {
        clock: stage.runs.clock.clone(),
        history: stage.runs.history.clone(),
        service: stage.service.clone(),
        catalog: watch::channel(Arc::new(Catalog::default())).1,
        board: Arc::new(Board::new(counted.clone(), meters)),
        counted,
        hub: Arc::default(),
        told: api::Told::default(),
        stood: api::Stood::default(),
        sweeps: watch::channel(None).1,
        housekeeping: Arc::new(Tidy),
        tokens: None,
        reviews: None,
        started: Arc::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn who_sends_no_body_is_answered_in_time_and_told_of() {
    let (mut page, mut log) = (tempfile::tempfile().unwrap(), String::new());
    let logging = tracing_subscriber::fmt()
        .with_writer(Arc::new(page.try_clone().unwrap()))
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(logging);
    let stage = Stage::new(1, Limits::default());
    let body = Body::from_stream(stream::pending::<io::Result<Bytes>>());
    let request = Request::post("/api/v1/drills/app/runs")
        .header("host", "localhost")
        .body(body);
    let asked = tokio::time::Instant::now();
    let answer = api::router(api(&stage)).oneshot(request.unwrap());
    let answer = tokio::time::timeout(Duration::from_mins(10), answer).await;
    let answer = answer.expect("it waits for ever").unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked.elapsed().as_secs(), 30);
    page.rewind().unwrap();
    page.read_to_string(&mut log).unwrap();
    let told = log.lines().find(|line| line.contains("audit: answered"));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(
        told.contains("status=503") && told.contains("path=\"/api/v1/drills/app/runs\""),
        "{told}"
    );
}
