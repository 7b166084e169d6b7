//! A listener of the mock: HTTP/1.1 and HTTP/2, plain or over TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::pki::Authority;

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct Hangup;

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mock closes the connection")
    }
}

impl std::error::Error for Hangup {}

/// What an answer comes to.
pub(crate) type Answered = Result<Response<Body>, Hangup>;

/// What answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> BoxFuture<'static, Answered>;
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) number: usize,
    pub(crate) is_tls: bool,
}

/// The certificate that a server shows, and whether it asks for one.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    /// A certificate of `authority` for these names; clients need one of `clients`, if that is given.
    pub(crate) fn new(authority: &Authority, names: &[&str], clients: Option<&Authority>) -> Result<Self> {
        let certificate = authority.server(names)?;
        let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.certificate().as_bytes())?)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let mut config = config.with_single_cert(vec![chain], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// A running listener. Dropping it ends it and its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// A port that is taken, before it is known what answers there.
#[derive(Debug)]
pub(crate) struct Bound(TcpListener);

impl Bound {
    pub(crate) async fn new(address: IpAddr) -> Result<Self> {
        Ok(Self(TcpListener::bind((address, 0)).await.with_context(|| format!("listen on {address}"))?))
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    pub(crate) fn serve(self, tls: Option<Tls>, service: Arc<dyn Service>) -> Result<Listener> {
        let (address, accepted) = (self.address()?, Arc::<AtomicUsize>::default());
        let task = tokio::spawn(accept(self.0, tls, service, accepted.clone()));
        Ok(Listener { address, accepted, task })
    }
}

impl Listener {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections end with this task.
async fn accept(listener: TcpListener, tls: Option<Tls>, service: Arc<dyn Service>, accepted: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let connection = Connection { number: accepted.fetch_add(1, Ordering::Relaxed), is_tls: tls.is_some() };
        connections.spawn(serve(stream, tls.clone(), service.clone(), connection));
        // Those that ended are let go of.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, tls: Option<Tls>, service: Arc<dyn Service>, connection: Connection) {
    _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, service, connection).await,
        Some(Tls(acceptor)) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                http(stream, service, connection).await;
            }
        }
    }
}

/// Errors end the connection, and nothing else: clients hang up, and scripted answers do.
async fn http<S>(stream: S, service: Arc<dyn Service>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer =
        tower::service_fn(move |request: Request<_>| service.clone().answer(request.map(Body::new), connection));
    let builder = Builder::new(TokioExecutor::new());
    _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(answer)).await;
}
