//! The server of the webhook, which uses the current certificate for each TLS handshake.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::process::server::Server;
use crate::process::slots::Limits;

/// Connections. An API server uses one for each pending review; with a tunnel, all have the same address.
const LIMITS: Limits = Limits { connections: 256, per_peer: 64 };

/// The current certificate. Without one, all handshakes fail.
#[derive(Debug, Default)]
pub struct ShownCertificate(watch::Sender<Option<Arc<CertifiedKey>>>);

impl ShownCertificate {
    /// Replaces the certificate.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        self.0.send_replace(Some(key));
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

/// Serves a router with a certificate until the process ends.
///
/// # Errors
/// If the address cannot be bound, or if TLS cannot be set up.
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
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "webhook listening");
    Ok(Server::new(router, LIMITS).with_tls(TlsAcceptor::from(Arc::new(config))).run(listener))
}
