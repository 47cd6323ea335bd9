//! Asking again where an API server is away for a while: it is restarted, or
//! its load balancer changes its mind.
//!
//! Every request may be sent twice, because what it wants is named by it: an
//! object of a given name is made or found made, one of a given UID is removed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use kube::{
    client::{Body, retry::RetryPolicy},
    runtime::utils::Backoff,
};
use tokio::time::Sleep;
use tower::{BoxError, retry::Policy};

/// The first pause; each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// How often it is asked again: for about a minute in all.
const TIMES: u32 = 17;

/// Decides whether a request is sent again.
#[derive(Clone)]
pub(super) struct Patience {
    /// Whether the server has ever answered. Where it has not, the address is
    /// likely to be wrong, and that is told at once.
    answered: Arc<AtomicBool>,
    attempt: u32,
    copying: RetryPolicy,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            answered: Arc::new(AtomicBool::new(false)),
            attempt: 0,
            copying: RetryPolicy::default(),
        }
    }

    /// The pause before the next attempt, if there is one to be.
    fn pause<Res>(&mut self, result: &Result<Response<Res>, BoxError>) -> Option<Duration> {
        let again = match result {
            Ok(response) => {
                self.answered.store(true, Ordering::Relaxed);
                is_busy(response.status())
            }
            Err(_) => self.answered.load(Ordering::Relaxed),
        };
        if !again || self.attempt == TIMES {
            return None;
        }
        self.attempt += 1;
        Some(pause(self.attempt))
    }
}

/// The pause before an attempt, counted from the first that is not new.
fn pause(attempt: u32) -> Duration {
    let pause = FIRST.saturating_mul(1 << (attempt - 1).min(10));
    pause.min(LONGEST)
}

/// The same pauses for a watch that breaks, begun anew when it says something.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    taken: u32,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.taken = self.taken.saturating_add(1);
        Some(pause(self.taken))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.taken = 0;
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

impl<Res> Policy<Request<Body>, Response<Res>, BoxError> for Patience {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Res>, BoxError>,
    ) -> Option<Self::Future> {
        self.pause(result).map(tokio::time::sleep)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Policy::<_, Response<Res>, BoxError>::clone_request(&mut self.copying, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = Result<Response<()>, BoxError>;

    fn answer(status: u16) -> Response<()> {
        Response::builder().status(status).body(()).unwrap()
    }

    fn refused() -> BoxError {
        "connection refused".into()
    }

    #[test]
    fn a_server_that_never_answered_is_not_waited_for() {
        let mut patience = Patience::new();
        assert_eq!(patience.pause(&Answer::Err(refused())), None);
        assert_eq!(patience.clone().pause(&Ok(answer(200))), None);
        // All requests know of the answer.
        assert_eq!(patience.pause(&Answer::Err(refused())), Some(FIRST));
    }

    #[test]
    fn a_busy_server_is_asked_again_for_a_minute_and_a_refusal_is_final() {
        let mut patience = Patience::new();
        for refusal in [400, 401, 403, 404, 409, 422] {
            assert_eq!(patience.pause(&Ok(answer(refusal))), None);
        }
        let pauses = std::iter::from_fn(|| patience.pause(&Ok(answer(503))));
        let all: Duration = pauses.sum();
        let minute = Duration::from_secs(50)..Duration::from_secs(70);
        assert!(minute.contains(&all), "{all:?}");
    }
}
