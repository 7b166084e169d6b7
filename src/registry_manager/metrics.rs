//! The metrics of the registry-manager.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::builder::metrics::BuildMetrics;
use super::coverage::metrics::CoverageMetrics;
use super::image::metrics::ImageMetrics;
use super::import::metrics::ImportMetrics;
use super::series::LimitedNames;
use crate::registry::transport::{Exchange, Observer};
use crate::telemetry::metrics::{OutcomeLabels, StateLabels};
use crate::telemetry::requests::RequestMetrics;

/// Hosts with series of their own: users name hosts, and the number of series must not grow with them.
const MAX_HOSTS: usize = 100;
/// The name of the controller in the metrics of the first operator.
const CONTROLLER: &str = "registry";

/// One host, class of requests, and status code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExchangeLabels {
    /// The registry's host; `other` beyond 100 hosts.
    pub host: String,
    /// `ping`, `tags`, `manifest`, `blob`, `referrers`, `token` or `other`.
    pub class: &'static str,
    /// The status code; `error` without an answer.
    pub code: String,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HostLabels {
    /// As in [`ExchangeLabels`].
    pub host: String,
}

/// The labels of controller-runtime's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// The controller.
    pub controller: &'static str,
    /// `success` or `error`.
    pub result: &'static str,
}

/// The labels of controller-runtime's histogram.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabels {
    /// The controller.
    pub controller: &'static str,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct RegistryManagerMetrics {
    /// Requests to the API server.
    pub requests: RequestMetrics,
    /// Whether this replica is the leader.
    pub leader: Gauge,
    /// Duration of scans, by outcome.
    pub scans: Family<OutcomeLabels, Histogram>,
    /// Scans that run now.
    pub running: Gauge,
    /// Registries by the result of their last scan.
    pub registries: Family<StateLabels, Gauge>,
    /// Tags of all repositories.
    pub tags: Gauge,
    /// Those of Images.
    pub images: ImageMetrics,
    /// Those of ImageBuilders.
    pub builds: BuildMetrics,
    /// Those of imports.
    pub imports: ImportMetrics,
    /// Requests to registries.
    pub exchanges: Family<ExchangeLabels, Counter>,
    /// Answers that limit requests.
    pub throttled: Family<HostLabels, Counter>,
    /// As the first operator counted scans.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// As the first operator measured scans.
    pub reconcile_times: Family<ControllerLabels, Histogram>,
    /// Of coverage.
    pub coverage: CoverageMetrics,
    hosts: LimitedNames,
}

impl RegistryManagerMetrics {
    /// Registers all metrics with the prefix `hypermirror_`, and those of the first operator under their own names.
    pub fn register(registry: &mut Registry) -> Self {
        let durations = || Histogram::new(exponential_buckets(0.01, 2.0, 20));
        let images = ImageMetrics::register(registry);
        let builds = BuildMetrics::register(registry);
        let own = registry.sub_registry_with_prefix("hypermirror");
        let metrics = Self {
            images,
            builds,
            imports: ImportMetrics::register(own),
            requests: RequestMetrics::register(own),
            leader: Gauge::default(),
            scans: Family::new_with_constructor(durations),
            running: Gauge::default(),
            registries: Family::default(),
            tags: Gauge::default(),
            exchanges: Family::default(),
            throttled: Family::default(),
            reconciles: Family::default(),
            reconcile_times: Family::new_with_constructor(durations),
            coverage: CoverageMetrics::register(own),
            hosts: LimitedNames::new(MAX_HOSTS),
        };
        own.register("leader", "Whether this replica is the leader", metrics.leader.clone());
        own.register("registry_scan_duration_seconds", "Duration of scans by outcome", metrics.scans.clone());
        own.register("registry_scans_running", "Scans that run now", metrics.running.clone());
        own.register("registries", "Registries by the result of their last scan", metrics.registries.clone());
        own.register("registry_tags", "Tags of all repositories in their last good scan", metrics.tags.clone());
        let exchanges = "Requests to registries by host, class and status code (`error`: no answer)";
        own.register("registry_requests", exchanges, metrics.exchanges.clone());
        let throttled = "Answers of registries that limit requests";
        own.register("registry_throttled", throttled, metrics.throttled.clone());
        let (name, help) = ("controller_runtime_reconcile", "Scans by result");
        registry.register(name, help, metrics.reconciles.clone());
        let name = "controller_runtime_reconcile_time_seconds";
        registry.register(name, "Duration of scans", metrics.reconcile_times.clone());
        metrics
    }

    /// Counts a scan.
    pub fn count_scan(&self, outcome: &'static str, is_good: bool, seconds: f64) {
        self.scans.get_or_create(&OutcomeLabels { outcome }).observe(seconds);
        let result = if is_good { "success" } else { "error" };
        self.reconciles.get_or_create(&ReconcileLabels { controller: CONTROLLER, result }).inc();
        self.reconcile_times.get_or_create(&ControllerLabels { controller: CONTROLLER }).observe(seconds);
    }

    /// Counts each request to a registry.
    pub fn observer(&self) -> Observer {
        let metrics = self.clone();
        Observer::new(move |exchange| metrics.count_exchange(exchange))
    }

    fn count_exchange(&self, exchange: Exchange<'_>) {
        let host = self.hosts.label(exchange.registry.host_str().unwrap_or_default());
        if exchange.status.is_some_and(|status| status == http::StatusCode::TOO_MANY_REQUESTS) {
            self.throttled.get_or_create(&HostLabels { host: host.clone() }).inc();
        }
        let code = exchange.status.map_or_else(|| "error".to_owned(), |status| status.as_str().to_owned());
        let class = class(exchange);
        self.exchanges.get_or_create(&ExchangeLabels { host, class, code }).inc();
    }
}

fn class(exchange: Exchange<'_>) -> &'static str {
    let path = exchange.url.path();
    if path.ends_with("/tags/list") {
        "tags"
    } else if path.contains("/manifests/") {
        "manifest"
    } else if path.contains("/blobs/") {
        "blob"
    } else if path.contains("/referrers/") {
        "referrers"
    } else if path.ends_with("/v2/") {
        "ping"
    } else if exchange.url.query().is_some_and(|query| query.contains("scope=") || query.contains("service="))
        || path.contains("token")
    {
        "token"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use url::Url;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn requests_have_the_class_of_their_path() {
        let registry = url("https://r.example/");
        for (address, expected) in [
            ("https://r.example/v2/", "ping"),
            ("https://r.example/v2/a/tags/list?n=100", "tags"),
            ("https://r.example/v2/a/manifests/latest", "manifest"),
            ("https://r.example/v2/a/blobs/sha256:0", "blob"),
            ("https://r.example/v2/a/referrers/sha256:0", "referrers"),
            ("https://auth.example/jwt?service=r&scope=repository%3Aa%3Apull", "token"),
            ("https://r.example/oauth2/token", "token"),
            ("https://storage.example/signed?sig=1", "other"),
        ] {
            assert_eq!(
                class(Exchange { registry: &registry, method: &http::Method::GET, url: &url(address), status: None }),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn users_cannot_make_ever_more_series() {
        let metrics = RegistryManagerMetrics::register(&mut Registry::default());
        let label = |host: &str| metrics.hosts.label(host);
        let hosts: HashSet<String> = (0..1_000).map(|number| label(&format!("h{number}"))).collect();
        assert_eq!(hosts.len(), MAX_HOSTS + 1);
        assert_eq!((label("h0").as_str(), label("h999").as_str()), ("h0", "other"));
    }
}
