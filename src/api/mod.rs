//! The HTTP API, `/api/v1`, with health and metrics beside it.

mod audit;
mod auth;
mod connections;
mod crowd;
mod drills;
mod events;
mod follow;
mod health;
mod heard;
mod leaks;
mod openapi;
mod paging;
mod problem;
mod promised;
mod renewed;
mod reviews;
mod rights;
mod runs;
mod schedule;
mod scope;
mod stalled;
mod tls;
mod told;
mod trend;

pub use self::{
    audit::TARGET as AUDIT,
    auth::{Role, Tokens, hash, new_token},
    connections::answer,
    events::Hub,
    health::{Started, Stood},
    openapi::document,
    renewed::{Renew, Renewed},
    reviews::{Authority, Review, Reviews},
    scope::Scope,
    tls::{TlsListener, certificate},
    told::Told,
};

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    catalog::Catalog,
    clock::Clock,
    domain::failure::Failure,
    history::{History, tallies::Followed},
    metrics::{Board, Sweep},
    service::Service,
};

/// What all paths of the API begin with.
const PREFIX: &str = "/api/v1";

/// No request has a larger body.
const MOST_BYTES: usize = 64 << 10;

/// How long a request may take, streams aside.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the API tells of and acts upon.
pub struct Api {
    pub clock: Arc<dyn Clock>,
    pub history: Arc<dyn History>,
    pub service: Service,
    pub catalog: watch::Receiver<Arc<Catalog>>,
    pub board: Arc<Board>,
    pub counted: Arc<Followed>,
    pub hub: Arc<Hub>,
    /// The last answer with all drills.
    pub told: Told,
    pub stood: Stood,
    pub sweeps: watch::Receiver<Option<Sweep>>,
    pub housekeeping: Arc<dyn Housekeeping>,
    /// `None`: everybody may do everything, on a loopback address.
    pub tokens: Option<Arc<Renewed<Tokens>>>,
    /// Asked about tokens that are none of these.
    pub reviews: Option<Reviews>,
    pub started: Arc<Started>,
}

/// Removes what no live run owns.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// Sweeps now; gives what was done, as JSON.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    async fn sweep(&self) -> Result<serde_json::Value, Failure>;
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    let reads = Router::new()
        .route("/drills", get(drills::list))
        .route("/drills/{name}", get(drills::one))
        .route("/drills/{name}/trend", get(trend::of_drill))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::one))
        .route("/runs/{id}/report", get(runs::report))
        .route("/schedule", get(schedule::upcoming))
        .route("/fires", get(schedule::fires))
        .route("/leaks", get(leaks::list))
        .route("/version", get(health::version))
        .route("/openapi.json", get(openapi::serve));
    let streams = crowd::Shares::new("streams", crowd::MOST_STREAMS_OF_ONE);
    let streams = axum::middleware::from_fn_with_state(streams, crowd::by_shares);
    let streams = Router::new()
        .route("/runs/{id}/events", get(events::stream))
        .layer(streams);
    let acts = Router::new()
        .route("/drills/{name}/runs", post(drills::run))
        .route("/runs/{id}/cancel", post(runs::cancel));
    let administers = Router::new().route("/sweep", post(health::sweep));
    let timed =
        |router: Router<Arc<Api>>| router.layer(axum::middleware::from_fn(problem::in_time));
    let shares = crowd::Shares::new("requests", crowd::MOST_OF_ONE);
    let guarded = |router: Router<Arc<Api>>, role| {
        let gate = auth::Gate {
            api: api.clone(),
            needed: role,
            shares: shares.clone(),
        };
        router.layer(axum::middleware::from_fn_with_state(gate, auth::guard))
    };
    let v1 = guarded(timed(reads).merge(streams), Role::Viewer)
        .merge(guarded(timed(acts), Role::Operator))
        .merge(guarded(administers, Role::Admin));
    let room = Arc::new(Semaphore::new(crowd::MOST));
    let v1 = v1.layer(axum::middleware::from_fn_with_state(room, crowd::in_turn));
    Router::new()
        .nest(PREFIX, v1)
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/startz", get(health::started))
        .route("/metrics", get(health::metrics))
        .fallback(problem::nowhere)
        .method_not_allowed_fallback(problem::not_so)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(api)
}
