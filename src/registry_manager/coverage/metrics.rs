//! The metrics of coverage.

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
}

impl CoverageMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let durations = || Histogram::new(exponential_buckets(0.01, 2.0, 20));
        let metrics = Self {
            checks: Family::new_with_constructor(durations),
            clusters: Family::default(),
            images: Family::default(),
        };
        let help = "Duration of checks of what hosted clusters need, by outcome";
        registry.register("coverage_check_duration_seconds", help, metrics.checks.clone());
        let help = "Hosted clusters by the result of their last check";
        registry.register("coverage_hosted_clusters", help, metrics.clusters.clone());
        let help = "Images by verdict in the last checks of all hosted clusters";
        registry.register("coverage_images", help, metrics.images.clone());
        metrics
    }
}
