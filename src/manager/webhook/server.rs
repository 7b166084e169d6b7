//! The webhook's server: TLS with whatever certificate is there now, bounded in connections, bytes and time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// API servers keep some connections each; more are not of theirs.
const MAX_CONNECTIONS: usize = 256;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may be silent between requests. API servers give idle ones up after 90 s.
const SILENCE: Duration = Duration::from_mins(2);
/// After a connection could not be accepted: there are no descriptors left, most likely.
const RECOVERY: Duration = Duration::from_millis(100);

/// The certificate that is shown from now on; none: every handshake fails.
#[derive(Debug, Default)]
pub struct ShownCertificate(Mutex<Option<Arc<CertifiedKey>>>);

impl ShownCertificate {
    /// Shows another one.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves a router with a certificate until the process ends.
///
/// # Errors
/// If the address cannot be bound, or TLS not be set up.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    certificate: Arc<ShownCertificate>,
) -> std::io::Result<impl Future<Output = ()> + use<>> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "webhook listening");
    Ok(accept(listener, acceptor, router))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Its tasks end with it.
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                connections.spawn(async move {
                    connection(stream, peer, acceptor, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the webhook cannot accept a connection");
                tokio::time::sleep(RECOVERY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, router: Router) {
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no TLS with a client of the webhook");
            return;
        }
        Err(_) => return,
    };
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection of the webhook ended");
    }
}
