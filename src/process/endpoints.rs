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

use crate::process::first_look::FirstLook;
use crate::process::server::serve;

/// The media type of the text format that `encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the metrics until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub async fn metrics(address: SocketAddr, registry: Registry) -> std::io::Result<impl Future<Output = ()>> {
    let router = Router::new().route("/metrics", get(write_metrics)).with_state(Arc::new(registry));
    serve("metrics server listening", address, router).await
}

async fn write_metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Serves `/healthz` (the process is running) and `/readyz` (all watches have delivered their first list).
///
/// # Errors
/// If the address cannot be bound.
pub async fn health(address: SocketAddr, look: FirstLook) -> std::io::Result<impl Future<Output = ()>> {
    let ready = |State(look): State<FirstLook>| async move {
        if look.is_open() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", look.missing().join(", ")))
        }
    };
    let router =
        Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(look);
    serve("health server listening", address, router).await
}
