//! No more requests at once than can be answered in time, and not all of them by
//! one client.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use super::problem::Problem;

/// So many requests are worked on at once; streams that have begun aside.
pub const MOST: usize = 256;

/// So many of them may be one client's: whatever it does, others find room.
pub const MOST_OF_ONE: usize = 64;

/// So many streams may be one client's. Each has a connection of its own, of which
/// there is an end, too.
pub const MOST_STREAMS_OF_ONE: usize = 64;

/// Turns away who finds no room: waiting in a line, all would be too late.
pub async fn in_turn(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_place) = room.try_acquire() else {
        let detail = "more requests are being answered than there is room for";
        let problem = Problem::no_room(StatusCode::SERVICE_UNAVAILABLE, detail);
        return problem.hint("ask again in a moment").into_response();
    };
    next.run(request).await
}

/// Whose requests are counted together, however many connections they come by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// Whoever has a token of this name.
    Token(String),
    /// An account of the API server.
    Account(String),
    /// Whoever connects from an address: a proxy's stands for many.
    Address(IpAddr),
}

impl Client {
    /// Who connects from there. Of IPv6, one who has any address has a whole network of
    /// them.
    pub fn at(address: IpAddr) -> Self {
        const NETWORK: u128 = !0 << 64;
        Self::Address(match address.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & NETWORK)),
            four @ IpAddr::V4(_) => four,
        })
    }
}

/// What of one kind goes on at once, by client.
pub struct Shares {
    what: &'static str,
    most: usize,
    taken: Mutex<HashMap<Client, usize>>,
}

impl Shares {
    #[must_use]
    pub fn new(what: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self {
            what,
            most,
            taken: Mutex::default(),
        })
    }

    /// A place for one more of the client's.
    ///
    /// # Errors
    /// If it has as many as one may have.
    pub fn place(self: &Arc<Self>, client: Client) -> Result<Place, Problem> {
        let mut taken = self.taken();
        let count = taken.entry(client.clone()).or_default();
        if *count >= self.most {
            let Self { most, what, .. } = &**self;
            let detail = format!("one client may have {most} {what} at once");
            let problem = Problem::no_room(StatusCode::TOO_MANY_REQUESTS, detail);
            return Err(problem.hint("ask again when one of them has ended"));
        }
        *count += 1;
        let shares = self.clone();
        Ok(Place { shares, client })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when it is dropped.
pub struct Place {
    shares: Arc<Shares>,
    client: Client,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        let left = taken
            .get(&self.client)
            .map_or(0, |count| count.saturating_sub(1));
        // Of who has none nothing is kept: there may be many over time.
        if left == 0 {
            taken.remove(&self.client);
        } else if let Some(count) = taken.get_mut(&self.client) {
            *count = left;
        }
    }
}

/// Holds a place for as long as the answer is being sent. The guard has noted whose
/// it is; programs of this machine, whom it does not tell apart, are not held to a
/// share.
pub async fn by_shares(
    State(shares): State<Arc<Shares>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(client) = request.extensions().get::<Client>().cloned() else {
        return next.run(request).await;
    };
    let place = match shares.place(client) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // Dropped with the body, when it has ended or nobody reads on.
            let _held = &place;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{
        Router,
        body::Bytes,
        http::header,
        middleware::{from_fn, from_fn_with_state},
        routing::get,
    };
    use futures_util::{StreamExt as _, stream};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    fn is_problem(response: &Response, status: StatusCode) {
        assert_eq!(response.status(), status);
        let headers = response.headers();
        assert_eq!(headers[header::RETRY_AFTER], "1");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    }

    fn token(name: &str) -> Client {
        Client::Token(name.to_owned())
    }

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
        is_problem(&second, StatusCode::SERVICE_UNAVAILABLE);
        go.notify_one();
        assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(ask("/fast").await.unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn one_client_leaves_room_for_the_others() {
        let shares = Shares::new("requests", 2);
        let account = Client::Account("shop".to_owned());
        let first = shares.place(token("shop")).unwrap();
        let second = shares.place(token("shop")).unwrap();
        let refused = shares.place(token("shop")).map(drop).unwrap_err();
        is_problem(&refused.into_response(), StatusCode::TOO_MANY_REQUESTS);
        for other in [token("pay"), account] {
            drop(shares.place(other).unwrap());
        }
        drop(first);
        let third = shares.place(token("shop")).unwrap();
        assert!(shares.place(token("shop")).is_err());
        drop((second, third));
        assert!(shares.taken().is_empty(), "something is kept of them");
    }

    /// Of an answer that does not end, to who asks in that name.
    fn streaming(most: usize) -> Router {
        let endless = async || {
            let first = stream::iter([Ok::<_, Infallible>(Bytes::from("first"))]);
            Body::from_stream(first.chain(stream::pending()))
        };
        let named = async |mut request: Request, next: Next| {
            if let Some(name) = request.uri().query().map(token) {
                request.extensions_mut().insert(name);
            }
            next.run(request).await
        };
        Router::new()
            .route("/", get(endless))
            .layer(from_fn_with_state(Shares::new("streams", most), by_shares))
            .layer(from_fn(named))
    }

    #[tokio::test]
    async fn a_stream_has_its_place_until_nobody_reads_it() {
        let router = streaming(1);
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let mut first = ask("/?shop").await.into_body();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "first");
        is_problem(&ask("/?shop").await, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(ask("/?pay").await.status(), StatusCode::OK);
        drop(first);
        let again = ask("/?shop").await;
        assert_eq!(again.status(), StatusCode::OK);
        // Whom nobody tells apart from others.
        let local = [ask("/").await, ask("/").await];
        assert!(local.iter().all(|one| one.status() == StatusCode::OK));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let at = |address: &str| Client::at(address.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.1"));
    }
}
