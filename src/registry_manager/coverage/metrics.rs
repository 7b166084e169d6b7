//! The metrics of coverage.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::{OutcomeLabels, StateLabels};

/// All of them.
#[derive(Clone, Debug)]
pub struct CoverageMetrics {
    /// Duration of checks, by outcome.
    pub checks: Family<OutcomeLabels, Histogram>,
    /// Hosted clusters by the result of their last check.
    pub clusters: Family<StateLabels, Gauge>,
    /// Images by verdict, of the last checks of all hosted clusters.
    pub images: Family<StateLabels, Gauge>,
    /// Images that were copied to mirrors, or could not be, by outcome.
    pub fills: Family<OutcomeLabels, Counter>,
    /// Bytes that were copied to mirrors.
    pub filled_bytes: Counter,
    /// Images that mirrors still lack.
    pub remaining: Gauge,
    /// When the hosted cluster was checked whose last check is the oldest.
    pub oldest_check: Gauge,
}

impl CoverageMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let durations = || Histogram::new(exponential_buckets(0.01, 2.0, 20));
        let metrics = Self {
            checks: Family::new_with_constructor(durations),
            clusters: Family::default(),
            images: Family::default(),
            fills: Family::default(),
            filled_bytes: Counter::default(),
            remaining: Gauge::default(),
            oldest_check: Gauge::default(),
        };
        let help = "Duration of checks of what hosted clusters need, by outcome";
        registry.register("coverage_check_duration_seconds", help, metrics.checks.clone());
        let help = "Hosted clusters by the result of their last check";
        registry.register("coverage_hosted_clusters", help, metrics.clusters.clone());
        let help = "Images by verdict in the last checks of all hosted clusters";
        registry.register("coverage_images", help, metrics.images.clone());
        let help = "Attempts to copy what mirrors lack, by outcome";
        registry.register("coverage_fills", help, metrics.fills.clone());
        registry.register("coverage_filled_bytes", "Bytes that were copied to mirrors", metrics.filled_bytes.clone());
        let help = "Images that are missing where mirrors are filled";
        registry.register("coverage_fill_remaining", help, metrics.remaining.clone());
        let help = "Unix time of the oldest of all hosted clusters' last checks; 0 before the first check";
        registry.register("coverage_oldest_check_timestamp_seconds", help, metrics.oldest_check.clone());
        metrics
    }
}
