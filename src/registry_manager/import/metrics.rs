//! The metrics of imports.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::{OutcomeLabels, StateLabels};

/// All of them.
#[derive(Clone, Debug)]
pub struct ImportMetrics {
    /// Attempts to import an image, by result.
    pub imports: Family<OutcomeLabels, Counter>,
    /// Bytes that were sent to destinations.
    pub bytes: Counter,
    /// Rules, by whether they are in force.
    pub rules: Family<StateLabels, Gauge>,
    /// Pods that cannot pull, in the namespaces that rules name.
    pub failing_pods: Gauge,
}

impl ImportMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            imports: Family::default(),
            bytes: Counter::default(),
            rules: Family::default(),
            failing_pods: Gauge::default(),
        };
        registry.register("imports", "Attempts to import an image by result", metrics.imports.clone());
        registry.register("import_bytes", "Bytes of images that were imported", metrics.bytes.clone());
        registry.register("import_rules", "ImportRules by whether they are in force", metrics.rules.clone());
        let help = "Pods that cannot pull in the namespaces that ImportRules name";
        registry.register("import_failing_pods", help, metrics.failing_pods.clone());
        metrics
    }
}
