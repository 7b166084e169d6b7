//! The metrics of the agent.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::report::Snapshot;
use crate::telemetry::metrics::{OutcomeLabels, gauge};
use crate::telemetry::requests::RequestMetrics;

/// The metrics of the agent. Names of objects are never labels.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    /// Requests to the API server.
    pub requests: RequestMetrics,
    /// Time from the first observed change of an object until the file is on disk.
    pub delay: Histogram,
    /// Changes of the file.
    pub writes: Counter,
    /// Reloads by outcome: `AsExpected`, or the reason of the condition.
    pub reloads: Family<OutcomeLabels, Counter>,
    applied: Gauge,
    pending: Gauge,
    sources: Gauge,
    rejected: Gauge,
    shadowed: Gauge,
}

impl AgentMetrics {
    /// Registers all metrics with the prefix `hypermirror_`.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("hypermirror");
        let metrics = Self {
            requests: RequestMetrics::register(registry),
            delay: Histogram::new(exponential_buckets(0.01, 2.0, 12)),
            writes: Counter::default(),
            reloads: Family::default(),
            applied: Gauge::default(),
            pending: Gauge::default(),
            sources: Gauge::default(),
            rejected: Gauge::default(),
            shadowed: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("agent");
        let delay = "Time from the first observed change of an object until the file is on disk";
        registry.register("write_delay_seconds", delay, metrics.delay.clone());
        registry.register("writes", "Changes of the file", metrics.writes.clone());
        registry.register("reloads", "Reloads of the container runtime by outcome", metrics.reloads.clone());
        registry.register("applied", "Whether the file is up to date", metrics.applied.clone());
        registry.register(
            "reload_pending",
            "Whether the container runtime has yet to load the file",
            metrics.pending.clone(),
        );
        registry.register("sources", "Sources that have mirrors", metrics.sources.clone());
        registry.register(
            "rejected_entries",
            "Entries that are ignored because they are invalid",
            metrics.rejected.clone(),
        );
        registry.register("shadowed_sources", "Sources that another file overrides", metrics.shadowed.clone());
        metrics
    }

    /// Records the state of the node.
    pub fn record(&self, snapshot: &Snapshot) {
        self.applied.set(i64::from(snapshot.applied.is_good()));
        self.pending.set(i64::from(!snapshot.reloaded.is_good()));
        self.sources.set(gauge(snapshot.sources));
        self.rejected.set(gauge(snapshot.rejected.len()));
        self.shadowed.set(gauge(snapshot.shadowed.len()));
    }
}
