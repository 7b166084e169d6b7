//! `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::process::flags::EndpointFlags;
use crate::process::initial_lists::InitialLists;
use crate::process::server::serve;

/// The media type of the text format that `encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {flag}={address}")]
pub struct ListenError {
    flag: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// The state of a process for its probes. Each method returns the problem, if there is one.
pub trait Probes: Clone + Send + Sync + 'static {
    /// Why the process has to be restarted (`/healthz`).
    fn stuck(&self) -> Option<String>;

    /// Why the process is not ready (`/readyz`).
    fn not_ready(&self) -> Option<String>;
}

/// A process that is ready once all watches have delivered their first list.
impl Probes for InitialLists {
    fn stuck(&self) -> Option<String> {
        None
    }

    fn not_ready(&self) -> Option<String> {
        (!self.is_open()).then(|| format!("waiting for {}", self.missing().join(", ")))
    }
}

impl EndpointFlags {
    /// Serves the metrics until the process ends.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn serve_metrics(&self, registry: Registry) -> Result<impl Future<Output = ()> + use<>, ListenError> {
        let router = Router::new().route("/metrics", get(write_metrics)).with_state(Arc::new(registry));
        let address = self.metrics_bind_address;
        let server = serve("metrics server listening", address, router).await;
        server.map_err(|source| ListenError { flag: "--metrics-bind-address", address, source })
    }

    /// Serves the probes until the process ends.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn serve_probes<P: Probes>(&self, probes: P) -> Result<impl Future<Output = ()> + use<P>, ListenError> {
        let alive =
            |State(probes): State<P>| async move { response(StatusCode::INTERNAL_SERVER_ERROR, probes.stuck()) };
        let ready =
            |State(probes): State<P>| async move { response(StatusCode::SERVICE_UNAVAILABLE, probes.not_ready()) };
        let router = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(probes);
        let address = self.health_probe_bind_address;
        let server = serve("health server listening", address, router).await;
        server.map_err(|source| ListenError { flag: "--health-probe-bind-address", address, source })
    }
}

async fn write_metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn response(failure: StatusCode, problem: Option<String>) -> (StatusCode, String) {
    match problem {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (failure, format!("{problem}\n")),
    }
}
