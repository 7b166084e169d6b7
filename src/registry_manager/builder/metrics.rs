//! The metrics of ImageBuilders, with those of the earlier operator under their own names.

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::super::series::LimitedNames;
use crate::telemetry::metrics::{OutcomeLabels, StateLabels};

/// ImageBuilders with series of their own.
const MAX_BUILDERS: usize = 1_000;

/// The label of the earlier operator's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuilderLabels {
    /// Name of the ImageBuilder; `other` beyond 1,000.
    pub imagebuilder: String,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct BuildMetrics {
    /// Duration of builds, by outcome.
    pub builds: Family<OutcomeLabels, Histogram>,
    /// ImageBuilders by phase.
    pub builders: Family<StateLabels, Gauge>,
    /// As the earlier operator counted builds.
    count: Counter,
    /// As the earlier operator meant to note them.
    last_builds: Family<BuilderLabels, Gauge>,
    names: LimitedNames,
}

impl BuildMetrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            builds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 15))),
            builders: Family::default(),
            count: Counter::default(),
            last_builds: Family::default(),
            names: LimitedNames::new(MAX_BUILDERS),
        };
        let own = registry.sub_registry_with_prefix("hypermirror");
        own.register("image_build_duration_seconds", "Duration of builds by outcome", metrics.builds.clone());
        own.register("image_builders", "ImageBuilders by phase", metrics.builders.clone());
        let (name, help) = ("image_operator_imagebuilder_build_count", "Builds that began");
        registry.register(name, help, metrics.count.clone());
        let (name, help) =
            ("image_operator_last_time_imagebuilder_was_reloaded", "Unix time of the last build that began");
        registry.register(name, help, metrics.last_builds.clone());
        metrics
    }

    /// Counts a build that begins.
    pub fn count_begun(&self, name: &str, at: Timestamp) {
        self.count.inc();
        let labels = BuilderLabels { imagebuilder: self.names.label(name) };
        self.last_builds.get_or_create(&labels).set(at.as_second());
    }

    /// Counts a build that has ended.
    pub fn count_ended(&self, outcome: &'static str, seconds: f64) {
        self.builds.get_or_create(&OutcomeLabels { outcome }).observe(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_the_earlier_operator_have_their_names() {
        let mut registry = Registry::default();
        let metrics = BuildMetrics::register(&mut registry);
        metrics.count_begun("node", Timestamp::UNIX_EPOCH);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "image_operator_imagebuilder_build_count_total 1",
            "image_operator_last_time_imagebuilder_was_reloaded{imagebuilder=\"node\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}");
        }
    }
}
