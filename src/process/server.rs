//! An HTTP server for a port that is reachable in the cluster's network, with limits for connections, headers and time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use axum::{BoxError, Router};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::slots::{Limits, Slot, Slots, peer_of};

/// Limits for probes and scrapes: kubelets and monitoring use a few connections.
pub const OF_PROBES: Limits = Limits { connections: 64, per_peer: 16 };
/// Time for the TLS handshake and the headers of the first request.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// Idle time of a connection. API servers close idle connections after 90 s; with a shorter time here, a request could arrive
/// while the connection is being closed.
const IDLE: Duration = Duration::from_mins(2);
/// Maximum size of headers. API servers, kubelets and Prometheus send less than 1 KiB.
const MAX_HEADERS: usize = 16 * 1024;
/// Pause after a failed accept, probably because of a lack of file descriptors.
const RECOVERY: Duration = Duration::from_millis(100);

/// The peer of a request, in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The router, with optional TLS.
pub struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    slots: Arc<Slots>,
    /// The connections, which end with the listener.
    connections: JoinSet<()>,
}

/// Serves a router without TLS until the process ends. `what` is logged with the address.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    what: &str,
    address: SocketAddr,
    router: Router,
) -> std::io::Result<impl Future<Output = ()> + use<>> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "{what}");
    Ok(Server::new(router, OF_PROBES).run(listener))
}

impl Server {
    /// Creates a listener without TLS.
    pub fn new(router: Router, limits: Limits) -> Self {
        Self { router, tls: None, slots: Slots::new(limits), connections: JoinSet::new() }
    }

    /// Creates a listener with TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsAcceptor) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Accepts connections until it is dropped.
    pub async fn run(mut self, listener: TcpListener) {
        // A failed accept must not end the server: the next one succeeds once file descriptors are free again. Ended connections are
        // collected here, because nothing else waits for them.
        loop {
            while self.connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, peer)) => self.accept(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(RECOVERY).await;
                }
            }
        }
    }

    /// Acquires a slot for a connection before anything is read from it.
    fn accept<S>(&mut self, stream: S, address: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = peer_of(address);
        let slot = self.slots.acquire(peer);
        let service =
            ConnectionService { router: self.router.clone(), peer, slot: Arc::new(slot), requested: Arc::default() };
        self.connections.spawn(connection(stream, self.tls.clone(), service));
    }
}

/// Serves a connection until the client closes it, it is idle for too long, or it loses its slot.
async fn connection<S>(stream: S, tls: Option<TlsAcceptor>, service: ConnectionService)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (slot, requested, peer) = (Arc::clone(&service.slot), Arc::clone(&service.requested), service.peer);
    let served = async {
        match tls {
            Some(tls) => http(tls.accept(stream).await?, service).await,
            None => http(stream, service).await,
        }
    };
    let is_silent = async {
        if tokio::time::timeout(FIRST_REQUEST, requested.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection ended");
            }
        }
        () = is_silent => tracing::debug!(%peer, "closed a connection without a request"),
        () = slot.lost() => tracing::debug!(%peer, "closed a connection in favour of another one"),
    }
}

async fn http<S>(stream: S, service: ConnectionService) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    // This also applies to the time between requests.
    http.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MAX_HEADERS);
    http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await
}

/// The service of one connection.
#[derive(Clone)]
struct ConnectionService {
    router: Router,
    peer: IpAddr,
    slot: Arc<Slot>,
    /// Notified by the first request.
    requested: Arc<Notify>,
}

/// A request that is being processed.
struct InProgress(Arc<Slot>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.set_at_work(false);
    }
}

impl<B> Service<Request<B>> for ConnectionService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.requested.notify_one();
        self.slot.set_at_work(true);
        let in_progress = InProgress(Arc::clone(&self.slot));
        request.extensions_mut().insert(Peer(self.peer));
        let response = self.router.call(request);
        async move {
            let response = response.await;
            drop(in_progress);
            response
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
