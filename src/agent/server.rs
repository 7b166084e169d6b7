//! `/healthz` and `/readyz` of the agent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::report::Snapshot;
use crate::process::first_look::FirstLook;
use crate::process::server::serve;

/// Time after which the main loop counts as stuck: several times its longest interval between passes.
const SILENCE: Duration = Duration::from_mins(2);

/// The state for the probes.
#[derive(Clone, Debug)]
pub struct Pulse {
    look: FirstLook,
    state: Arc<Mutex<Turn>>,
}

#[derive(Debug)]
struct Turn {
    at: Instant,
    /// Why the node is not ready.
    trouble: Option<String>,
}

impl Pulse {
    /// Starts as not ready, until the first pass.
    pub fn new(look: FirstLook) -> Self {
        let trouble = Some("waiting for the first pass over the node's files".to_owned());
        Self { look, state: Arc::new(Mutex::new(Turn { at: Instant::now(), trouble })) }
    }

    /// Records that the main loop is running.
    pub fn beat(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).at = Instant::now();
    }

    /// Records the state of the node.
    pub fn record(&self, snapshot: &Snapshot) {
        let verdicts = [&snapshot.applied, &snapshot.reloaded];
        let trouble = verdicts.into_iter().find(|verdict| !verdict.is_good());
        let trouble = trouble.map(|verdict| format!("{}: {}", verdict.reason.as_str(), verdict.message));
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = trouble;
    }

    /// Why the node is not ready: a watch has not delivered its first list, or the file is not up to date or not loaded.
    pub fn trouble(&self) -> Option<String> {
        if !self.look.is_open() {
            return Some(format!("waiting for {}", self.look.missing().join(", ")));
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    fn is_alive(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).at.elapsed() < SILENCE
    }
}

/// Serves both endpoints until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub async fn health(address: SocketAddr, pulse: Pulse) -> std::io::Result<impl Future<Output = ()>> {
    let alive = |State(pulse): State<Pulse>| async move {
        let status = if pulse.is_alive() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, if pulse.is_alive() { "ok\n" } else { "the main loop is stuck\n" })
    };
    let ready = |State(pulse): State<Pulse>| async move {
        match pulse.trouble() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        }
    };
    let router = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(pulse);
    serve("health server listening", address, router).await
}
