//! Connections: taken, answered, and ended where nobody says anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// So many are open at once, which is fewer than the files that a process may
/// usually have open. Others wait until one ends.
const MOST: usize = 512;

/// How long a client may take to say what it wants, from when it is there or was
/// answered.
const SILENCE: Duration = Duration::from_mins(1);

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
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    let room = Arc::new(Semaphore::new(MOST));
    let open = GracefulShutdown::new();
    loop {
        let next = async {
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, (io, address)) = tokio::select! {
            next = next => next,
            () = &mut end => break,
        };
        let from = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(address));
            request
        };
        let service = TowerToHyperService::new(router.clone().map_request(from));
        let connection = open.watch(http.serve_connection(TokioIo::new(io), service));
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

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::{IpAddr, Ipv4Addr},
    };

    use axum::{Extension, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::mpsc,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;

    const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4711);

    /// Connections that a test makes.
    struct Made(mpsc::Receiver<DuplexStream>);

    impl Listener for Made {
        type Io = DuplexStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
            match self.0.recv().await {
                Some(made) => (made, ADDRESS),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(ADDRESS)
        }
    }

    /// Gives a way to connect.
    fn serving() -> (mpsc::Sender<DuplexStream>, CancellationToken) {
        let (connect, made) = mpsc::channel(1);
        let told = async |Extension(Peer(address)): Extension<Peer>| address.to_string();
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/peer", get(told));
        let stop = CancellationToken::new();
        let end = stop.clone().cancelled_owned();
        tokio::spawn(answer(Made(made), router, end));
        (connect, stop)
    }

    async fn connected(connect: &mpsc::Sender<DuplexStream>) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 12);
        connect.send(theirs).await.unwrap();
        ours
    }

    async fn ask(connection: &mut DuplexStream) -> String {
        ask_at(connection, "/").await
    }

    async fn ask_at(connection: &mut DuplexStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1 << 12];
        let length = connection.read(&mut answer).await.unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    /// Whether a connection is closed within a time.
    async fn ends(connection: &mut DuplexStream, within: Duration) -> bool {
        let mut rest = Vec::new();
        let read = connection.read_to_end(&mut rest);
        tokio::time::timeout(within, read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_off_and_others_are_not() {
        let (connect, _stop) = serving();
        for said in ["", "GET / HTTP/1.1\r\nhost:"] {
            let mut slow = connected(&connect).await;
            slow.write_all(said.as_bytes()).await.unwrap();
            let mut busy = connected(&connect).await;
            for _ in 0..10 {
                tokio::time::sleep(SILENCE / 10).await;
                assert!(ask(&mut busy).await.ends_with("here"));
            }
            assert!(ends(&mut slow, SILENCE).await, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_taken_than_there_is_room_for() {
        let (connect, _stop) = serving();
        let mut open = Vec::new();
        for _ in 0..MOST {
            open.push(connected(&connect).await);
        }
        for one in &mut open {
            assert!(ask(one).await.ends_with("here"));
        }
        let mut last = connected(&connect).await;
        let waits = tokio::time::timeout(SILENCE / 2, ask(&mut last)).await;
        assert!(waits.is_err());
        open.pop();
        let mut answer = [0; 15];
        last.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_connection_it_is_is_known() {
        let (connect, _stop) = serving();
        let mut connection = connected(&connect).await;
        let answer = ask_at(&mut connection, "/peer").await;
        assert!(answer.ends_with("127.0.0.1:4711"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_answers_end() {
        let (connect, stop) = serving();
        let mut idle = connected(&connect).await;
        assert!(ask(&mut idle).await.ends_with("here"));
        stop.cancel();
        assert!(ends(&mut idle, DRAINING / 2).await);
        connect.closed().await;
    }
}
