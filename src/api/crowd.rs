//! No more requests at once than can be answered in time.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::problem::Problem;

/// So many requests are worked on at once; streams that have begun aside.
pub const MOST: usize = 256;

/// Turns away who finds no room: waiting in a line, all would be too late.
pub async fn in_turn(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_place) = room.try_acquire() else {
        let detail = "more requests are being answered than there is room for";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        let later = [(header::RETRY_AFTER, "1")];
        return (later, problem.hint("ask again in a moment")).into_response();
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_is_turned_away_at_once() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (begun.clone(), go.clone());
        let slow = move || {
            let (tell, wait) = (tell.clone(), wait.clone());
            async move {
                tell.notify_one();
                wait.notified().await;
            }
        };
        let room = Arc::new(Semaphore::new(1));
        let router = Router::new()
            .route("/slow", get(slow))
            .route("/fast", get(async || ()))
            .layer(from_fn_with_state(room, in_turn));
        let ask = |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request)
        };
        let first = tokio::spawn(ask("/slow"));
        begun.notified().await;
        let second = ask("/fast").await.unwrap();
        assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(second.headers()[header::RETRY_AFTER], "1");
        go.notify_one();
        assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(ask("/fast").await.unwrap().status(), StatusCode::OK);
    }
}
