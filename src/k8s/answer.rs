//! A limit to how long an answer may take to begin. A request that hangs, such
//! as in a proxy that lost the API server, would hold a run for ever.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Service};

/// The API server itself gives up after a minute.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// A service whose answers begin in time. What streams in them may take as
/// long as it likes.
#[derive(Debug, Clone)]
pub(super) struct InTime<S> {
    pub longest: Duration,
    pub inner: S,
}

impl<S, Res> Service<Request<Body>> for InTime<S>
where
    S: Service<Request<Body>, Response = Response<Res>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // A log begins with its first line, whenever that is written.
        let patient = request.uri().path().ends_with("/log");
        let longest = self.longest;
        let answer = self.inner.call(request);
        Box::pin(async move {
            if patient {
                return answer.await.map_err(Into::into);
            }
            match tokio::time::timeout(longest, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer within {} s", longest.as_secs_f64()).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(path: &str) -> Result<Response<()>, BoxError> {
        let silent = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<()>, BoxError>>()
        });
        let request = Request::get(path).body(Body::empty()).unwrap();
        let mut in_time = InTime {
            longest: Duration::from_millis(10),
            inner: silent,
        };
        in_time.call(request).await
    }

    #[tokio::test]
    async fn only_a_log_is_waited_for() {
        let error = ask("/api/v1/nodes?watch=true").await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 0.01 s");
        let log = ask("/api/v1/namespaces/a/pods/b/log?follow=true");
        let longer = Duration::from_millis(50);
        assert!(tokio::time::timeout(longer, log).await.is_err());
    }
}
