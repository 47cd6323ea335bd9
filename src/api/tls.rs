//! HTTPS: connections that are encrypted, with a certificate that may be
//! replaced while the service goes on.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    crowd::{Client, Shares},
    renewed::Renewed,
    stalled::{STALLED, Unstalled},
};
use crate::domain::failure::{Failure, FailureKind};

/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// So many may be at it at once.
const HANDSHAKES: usize = 1_024;

/// So many of them may be of one address.
const HANDSHAKES_OF_ONE: usize = HANDSHAKES / 2;

/// The certificates in `chain`, the service's own first, and its key; PEM.
///
/// # Errors
/// If they cannot be read, or do not belong together.
pub fn certificate(chain: &Path, key: &Path) -> Result<CertifiedKey, Failure> {
    let read =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let of =
        |file: &Path, why: &dyn std::fmt::Display| wrong(&format!("{}: {why}", file.display()));
    let certificates = read.map_err(|error| of(chain, &error))?;
    if certificates.is_empty() {
        return Err(of(chain, &"it holds no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, &error))?;
    let signs = aws_lc_rs::sign::any_supported_type(&secret).map_err(|error| of(key, &error))?;
    let certified = CertifiedKey::new(certificates, signs);
    let matching = certified.keys_match();
    matching.map_err(|error| of(key, &format!("it is not the certificate's: {error}")))?;
    Ok(certified)
}

fn wrong(message: &str) -> Failure {
    Failure::new(
        FailureKind::Invalid,
        format!("cannot serve HTTPS: {message}"),
    )
    .hint("--tls-cert names the certificates, the service's own first, --tls-key its key; in PEM")
}

struct Resolver(Arc<Renewed<CertifiedKey>>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}

/// Whether the peer reads is seen below TLS, which takes some of what is written
/// whatever becomes of it.
type Agreed = TlsStream<Unstalled<TcpStream>>;

/// Takes connections, and gives those that have agreed on a key. A client that
/// is slow at it keeps nobody waiting.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Agreed, SocketAddr)>,
}

impl TlsListener {
    /// Takes the connections of `tcp` from now on.
    ///
    /// # Errors
    /// If the system's or the library's settings forbid it.
    pub fn new(tcp: TcpListener, certificate: Arc<Renewed<CertifiedKey>>) -> Result<Self, Failure> {
        let address = tcp
            .local_addr()
            .map_err(|error| wrong(&error.to_string()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| wrong(&error.to_string()))?;
        let mut config = versions
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(certificate)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (sender, ready) = mpsc::channel(HANDSHAKES);
        let shares = Shares::new("handshakes", HANDSHAKES_OF_ONE);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(take(tcp, acceptor, shares, sender));
        Ok(Self { address, ready })
    }
}

async fn take(
    mut tcp: TcpListener,
    acceptor: TlsAcceptor,
    shares: Arc<Shares>,
    ready: mpsc::Sender<(Agreed, SocketAddr)>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    while !ready.is_closed() {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let accepted = axum::serve::Listener::accept(&mut tcp);
        let (stream, address) = tokio::select! {
            accepted = accepted => accepted,
            () = ready.closed() => return,
        };
        let Ok(share) = shares.place(Client::at(address.ip())) else {
            continue;
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let stream = Unstalled::new(stream, STALLED);
            let agreed = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            match agreed {
                Ok(Ok(stream)) => drop(ready.send((stream, address)).await),
                Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS"),
                Err(_) => tracing::debug!(%address, "no TLS in time"),
            }
            drop((permit, share));
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = Agreed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The task that takes them ends only after this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use rustls::server::ResolvesServerCertUsingSni;
    use tokio::{io::AsyncReadExt as _, net::TcpSocket};

    use super::*;

    fn acceptor() -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        TlsAcceptor::from(Arc::new(config))
    }

    /// Whether the service ends at once a connection on which nobody says anything.
    async fn is_turned_away(from: &str, to: SocketAddr) -> (bool, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        let read = tokio::time::timeout(HANDSHAKE / 5, stream.read_u8()).await;
        (read.is_ok(), stream)
    }

    #[tokio::test]
    async fn one_address_leaves_room_to_agree_on_a_key() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (sender, _ready) = mpsc::channel(1);
        let shares = Shares::new("handshakes", 1);
        tokio::spawn(take(tcp, acceptor(), shares, sender));
        let (turned_away, _first) = is_turned_away("127.0.0.2", address).await;
        assert!(!turned_away);
        assert!(is_turned_away("127.0.0.2", address).await.0);
        assert!(!is_turned_away("127.0.0.3", address).await.0);
    }
}
