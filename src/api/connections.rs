//! Connections: taken, answered, and ended where nobody says or reads anything.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request as Asked,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    serve::Listener,
};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt as _;

use super::{
    crowd::{Client, Place, Shares},
    problem::Problem,
    stalled::{STALLED, Unstalled},
};

/// So many are open at once, which is fewer than the files that a process may
/// usually have open. Others are answered that there is no room.
const MOST: usize = 512;

/// So many more are open to ask how the service is, or to be told that there is no room.
const MOST_PROBES: usize = 64;

/// So many of them may be one address's, so that others find room whatever it does.
///
/// Half of them, and not a small part: behind a proxy or a kube-proxy that puts its own
/// address in place of the client's, one address is everybody. This machine's own is
/// held to it, too: it is the one that a proxy in the same pod comes from.
const MOST_OF_ONE: usize = MOST / 2;

/// So many of those one address may have: probes of the kubelet may come from the same
/// address as everybody behind a kube-proxy.
const MOST_PROBES_OF_ONE: usize = 16;

/// What these may ask for.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/startz"];

/// How long a client may take to say what it wants, from when it is there or was
/// answered.
const SILENCE: Duration = Duration::from_mins(1);

/// How long one may that has no room but for a probe.
const SILENCE_OF_PROBE: Duration = Duration::from_secs(5);

/// How long answers may take to end once the service stops: streams have no end
/// of their own.
const DRAINING: Duration = Duration::from_secs(5);

/// Whose connection a request came by: perhaps a proxy's.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Answers until `end`, and then for as long as answers may take to end.
pub async fn answer<L>(mut listener: L, router: Router, end: impl Future<Output = ()>)
where
    L: Listener<Addr = SocketAddr>,
{
    tokio::pin!(end);
    let rooms = [Room::for_all(router.clone()), Room::for_probes(router)];
    let open = GracefulShutdown::new();
    loop {
        let (io, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        let found = rooms
            .iter()
            .find_map(|room| Some((room, room.place(address.ip())?)));
        let Some((room, place)) = found else {
            tracing::debug!(%address, "there is no room for a connection");
            continue;
        };
        let connection = open.watch(room.serve(io, address));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    let ended = tokio::time::timeout(DRAINING, open.shutdown()).await;
    if ended.is_err() {
        tracing::debug!("connections are given up");
    }
}

/// How connections of one kind are answered.
struct Room {
    places: Arc<Semaphore>,
    shares: Arc<Shares>,
    http: http1::Builder,
    router: Router,
}

impl Room {
    fn for_all(router: Router) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(SILENCE);
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            shares: Shares::new("connections", MOST_OF_ONE),
            http,
            router,
        }
    }

    /// Each has one answer.
    fn for_probes(router: Router) -> Self {
        let mut room = Self::for_all(router.layer(from_fn(only_probes)));
        room.places = Arc::new(Semaphore::new(MOST_PROBES));
        room.shares = Shares::new("probes", MOST_PROBES_OF_ONE);
        let silence = SILENCE_OF_PROBE;
        room.http.header_read_timeout(silence).keep_alive(false);
        room
    }

    /// A place for one more from an address, where there is any and it has not got its
    /// share yet.
    fn place(&self, address: IpAddr) -> Option<(OwnedSemaphorePermit, Place)> {
        let share = self.shares.place(Client::at(address)).ok()?;
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some((place, share))
    }

    fn serve<I>(
        &self,
        io: I,
        address: SocketAddr,
    ) -> impl GracefulConnection<Error = hyper::Error> + Send + use<I>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let from = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(address));
            request
        };
        let service = TowerToHyperService::new(self.router.clone().map_request(from));
        let io = TokioIo::new(Unstalled::new(io, STALLED));
        self.http.serve_connection(io, service)
    }
}

/// Says to whoever wants something else why they get nothing.
async fn only_probes(request: Asked, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let detail = format!(
        "there is room for {MOST} connections at once, and for {MOST_OF_ONE} of one address"
    );
    let problem = Problem::no_room(StatusCode::TOO_MANY_REQUESTS, detail);
    let problem = problem.hint("ask again when some of them have ended");
    problem.into_response()
}

#[cfg(test)]
mod tests {
    use std::{io, net::Ipv4Addr};

    use axum::{Extension, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::{Notify, mpsc},
        task::JoinHandle,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;

    type Connection = (DuplexStream, SocketAddr);

    /// How much of an answer fits between its two ends.
    const BETWEEN: usize = 1 << 12;

    /// Of an answer that is longer by far.
    const LARGE: usize = BETWEEN * 20;

    const SLACK: Duration = Duration::from_secs(1);

    /// One of several addresses.
    fn from(number: u8) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::new(127, 0, 0, number).into(), 4711)
    }

    /// Connections that a test makes.
    struct Made(mpsc::Receiver<Connection>);

    impl Listener for Made {
        type Io = DuplexStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> Connection {
            match self.0.recv().await {
                Some(made) => made,
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(from(1))
        }
    }

    struct Serving {
        connect: mpsc::Sender<Connection>,
        stop: CancellationToken,
        /// Lets the slow answer end.
        go: Arc<Notify>,
        /// Ends when the process would.
        answering: JoinHandle<()>,
    }

    fn serving() -> Serving {
        let (connect, made) = mpsc::channel(1);
        let go = Arc::new(Notify::new());
        let told = async |Extension(Peer(address)): Extension<Peer>| address.to_string();
        let wait = go.clone();
        let slow = async move || {
            wait.notified().await;
            "x".repeat(LARGE)
        };
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/livez", get(async || "alive"))
            .route("/peer", get(told))
            .route("/large", get(async || "x".repeat(LARGE)))
            .route("/slow", get(slow));
        let stop = CancellationToken::new();
        let end = stop.clone().cancelled_owned();
        let answering = tokio::spawn(answer(Made(made), router, end));
        Serving {
            connect,
            stop,
            go,
            answering,
        }
    }

    impl Serving {
        async fn connected(&self) -> DuplexStream {
            self.connected_from(1).await
        }

        async fn connected_from(&self, number: u8) -> DuplexStream {
            let (ours, theirs) = duplex(BETWEEN);
            self.connect.send((theirs, from(number))).await.unwrap();
            ours
        }

        /// As many as an address may have, and what they ask for.
        async fn share_of(&self, number: u8) -> Vec<DuplexStream> {
            let mut open = Vec::new();
            for _ in 0..MOST_OF_ONE {
                open.push(self.connected_from(number).await);
            }
            for one in &mut open {
                assert!(ask(one).await.ends_with("here"));
            }
            open
        }
    }

    async fn ask(connection: &mut DuplexStream) -> String {
        ask_at(connection, "/").await
    }

    async fn ask_at(connection: &mut DuplexStream, path: &str) -> String {
        want(connection, path).await;
        let mut answer = vec![0; BETWEEN];
        let length = connection.read(&mut answer).await.unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    async fn want(connection: &mut DuplexStream, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
    }

    /// All that comes until the connection is closed.
    async fn rest(connection: &mut DuplexStream) -> String {
        let mut rest = String::new();
        connection.read_to_string(&mut rest).await.unwrap();
        rest
    }

    /// Whether a connection is closed within a time.
    async fn ends(connection: &mut DuplexStream, within: Duration) -> bool {
        let mut rest = Vec::new();
        let read = connection.read_to_end(&mut rest);
        tokio::time::timeout(within, read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_off_and_others_are_not() {
        let serving = serving();
        for said in ["", "GET / HTTP/1.1\r\nhost:"] {
            let mut slow = serving.connected().await;
            slow.write_all(said.as_bytes()).await.unwrap();
            let mut busy = serving.connected().await;
            for _ in 0..10 {
                tokio::time::sleep(SILENCE / 10).await;
                assert!(ask(&mut busy).await.ends_with("here"));
            }
            assert!(ends(&mut slow, SILENCE).await, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_taken_than_there_is_room_for() {
        let serving = serving();
        let mut open = serving.share_of(1).await;
        open.extend(serving.share_of(2).await);
        assert_eq!(open.len(), MOST);
        for (path, status) in [("/livez", "200"), ("/", "429")] {
            let mut probe = serving.connected_from(3).await;
            want(&mut probe, path).await;
            let answer = rest(&mut probe).await;
            assert!(answer.contains(status), "{path}: {answer}");
        }
        // Not even these are without end.
        let mut silent = Vec::new();
        for number in 0..MOST_PROBES {
            let address = 10 + u8::try_from(number / MOST_PROBES_OF_ONE).unwrap();
            silent.push(serving.connected_from(address).await);
        }
        assert!(ends(&mut serving.connected_from(3).await, SILENCE_OF_PROBE / 2).await);
        open.pop();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut last = serving.connected_from(3).await;
        assert!(ask(&mut last).await.ends_with("here"));
    }

    #[tokio::test(start_paused = true)]
    async fn whose_connection_it_is_is_known() {
        let serving = serving();
        let mut connection = serving.connected().await;
        let answer = ask_at(&mut connection, "/peer").await;
        assert!(answer.ends_with("127.0.0.1:4711"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_room_for_others_and_for_probes() {
        let serving = serving();
        let mut share = serving.share_of(1).await;
        assert!(
            ask(&mut serving.connected_from(2).await)
                .await
                .ends_with("here")
        );
        // Of the same address, each for one answer.
        for (path, status) in [("/livez", "200"), ("/", "429"), ("/livez", "200")] {
            let mut probe = serving.connected().await;
            want(&mut probe, path).await;
            let answer = rest(&mut probe).await;
            assert!(answer.contains(status), "{path}: {answer}");
        }
        // These are not for ever, either, and more are not taken.
        let mut silent = Vec::new();
        for _ in 0..MOST_PROBES_OF_ONE {
            silent.push(serving.connected().await);
        }
        assert!(ends(&mut serving.connected().await, SILENCE_OF_PROBE / 2).await);
        for one in &mut silent {
            assert!(ends(one, SILENCE_OF_PROBE + SLACK).await);
        }
        share.pop();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(ask(&mut serving.connected().await).await.ends_with("here"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_the_answer_is_cut_off() {
        let serving = serving();
        let mut deaf = serving.connected().await;
        want(&mut deaf, "/large").await;
        tokio::time::sleep(STALLED + SLACK).await;
        assert!(rest(&mut deaf).await.len() <= BETWEEN);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_it_all() {
        let serving = serving();
        let mut slow = serving.connected().await;
        want(&mut slow, "/large").await;
        let (mut read, mut part) = (0, vec![0; BETWEEN]);
        while read < LARGE {
            tokio::time::sleep(STALLED / 2).await;
            let length = slow.read(&mut part).await.unwrap();
            assert!(length > 0, "cut off after {read}");
            read += length;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_progress_at_the_stop_arrives_whole() {
        let serving = serving();
        let mut busy = serving.connected().await;
        want(&mut busy, "/slow").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        serving.stop.cancel();
        serving.connect.closed().await;
        tokio::time::sleep(DRAINING / 2).await;
        assert!(!serving.answering.is_finished());
        serving.go.notify_one();
        let answer = rest(&mut busy).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with(&"x".repeat(LARGE)), "{}", answer.len());
        serving.answering.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_answers_end() {
        let serving = serving();
        let mut idle = serving.connected().await;
        assert!(ask(&mut idle).await.ends_with("here"));
        serving.stop.cancel();
        assert!(ends(&mut idle, DRAINING / 2).await);
        serving.connect.closed().await;
    }
}
