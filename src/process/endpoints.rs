//! `/metrics`, `/healthz` and `/readyz`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use crate::process::flags::EndpointFlags;
use crate::process::initial_lists::InitialLists;
use crate::process::server::serve;

/// The media type of the text format that `encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of the older text format, which a client gets that does not ask for `OpenMetrics`.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

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
    pub async fn serve_metrics(&self, mut registry: Registry) -> Result<impl Future<Output = ()> + use<>, ListenError> {
        let tasks = register_tasks(&mut registry);
        let router =
            Router::new().route("/metrics", get(write_metrics)).with_state(Arc::new(Metrics { registry, tasks }));
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

/// Registers the metric that all processes have. It is set when it is read.
pub fn register_tasks(registry: &mut Registry) -> Gauge {
    let tasks = Gauge::default();
    let own = registry.sub_registry_with_prefix("hypermirror");
    own.register("tasks", "Tasks of the process that have not ended", tasks.clone());
    tasks
}

struct Metrics {
    registry: Registry,
    /// Counted when it is read: a leak of tasks is otherwise seen only as memory, much later.
    tasks: Gauge,
}

async fn write_metrics(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    metrics.tasks.set(i64::try_from(Handle::current().metrics().num_alive_tasks()).unwrap_or(i64::MAX));
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &metrics.registry) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
    let is_open = accepted.into_iter().any(|accepted| accepted.contains("application/openmetrics-text"));
    let (kind, text) = if is_open { (OPEN_METRICS, text) } else { (PLAIN, plain(&text)) };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The older text format: there, the name of a counter has its suffix in the description, too, and there is no end mark.
fn plain(open: &str) -> String {
    let mut counters = BTreeSet::new();
    for line in open.lines() {
        counters.extend(line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter")));
    }
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn response(failure: StatusCode, problem: Option<String>) -> (StatusCode, String) {
    match problem {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (failure, format!("{problem}\n")),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    fn metrics() -> State<Arc<Metrics>> {
        let mut registry = Registry::default();
        registry.register("writes", "Changes of the file", Counter::<u64>::default());
        let tasks = register_tasks(&mut registry);
        State(Arc::new(Metrics { registry, tasks }))
    }

    async fn scraped(accept: &str) -> (String, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let response = write_metrics(metrics(), headers).await;
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_client_gets_the_format_that_it_accepts() {
        // What Prometheus sends.
        let (kind, open) = scraped("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5").await;
        assert_eq!(kind, OPEN_METRICS);
        assert!(open.contains("# TYPE writes counter\nwrites_total 0\n") && open.ends_with("# EOF\n"), "{open}");
        let (kind, plain) = scraped("*/*").await;
        assert_eq!(kind, PLAIN);
        let counter = "# HELP writes_total Changes of the file.\n# TYPE writes_total counter\nwrites_total 0\n";
        let gauge = "# HELP hypermirror_tasks Tasks of the process that have not ended.\n# TYPE hypermirror_tasks gauge\nhypermirror_tasks 0\n";
        assert_eq!(plain, format!("{counter}{gauge}"));
    }

    #[tokio::test]
    async fn tasks_are_counted_when_they_are_asked_for() {
        let task = tokio::spawn(std::future::pending::<()>());
        let (_, text) = scraped("*/*").await;
        assert!(text.ends_with("\nhypermirror_tasks 1\n"), "{text}");
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        let (_, text) = scraped("*/*").await;
        assert!(text.ends_with("\nhypermirror_tasks 0\n"), "{text}");
    }
}
