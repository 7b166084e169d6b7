//! The metrics of Images, with those of the earlier operator under their own names.

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::super::series::LimitedNames;
use crate::registry::RegistryAddress;
use crate::registry::wire::rate_limit::RateLimit;
use crate::telemetry::metrics::{OutcomeLabels, StateLabels};

/// Images with series of their own in the metrics of the earlier operator: users name them, and the number of series must not
/// grow with them.
const MAX_IMAGES: usize = 1_000;

/// The label of the earlier operator's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ImageLabels {
    /// Name of the Image; `other` beyond 1,000.
    pub image: String,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct ImageMetrics {
    /// Duration of runs, by outcome.
    pub runs: Family<OutcomeLabels, Histogram>,
    /// Runs that are in progress.
    pub running: Gauge,
    /// Images by phase.
    pub images: Family<StateLabels, Gauge>,
    /// Tags that were copied.
    pub tags: Counter,
    /// Bytes that were copied.
    pub bytes: Counter,
    /// As the earlier operator counted jobs.
    reloads: Family<ImageLabels, Counter>,
    /// As the earlier operator noted jobs.
    last_reloads: Family<ImageLabels, Gauge>,
    /// The quota that Docker Hub announces.
    quota_limit: Gauge,
    /// What is left of it.
    quota_remaining: Gauge,
    names: LimitedNames,
}

impl ImageMetrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            runs: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 20))),
            running: Gauge::default(),
            images: Family::default(),
            tags: Counter::default(),
            bytes: Counter::default(),
            reloads: Family::default(),
            last_reloads: Family::default(),
            quota_limit: Gauge::default(),
            quota_remaining: Gauge::default(),
            names: LimitedNames::new(MAX_IMAGES),
        };
        let own = registry.sub_registry_with_prefix("hypermirror");
        own.register("image_run_duration_seconds", "Duration of runs of Images by outcome", metrics.runs.clone());
        own.register("image_runs_running", "Runs of Images that are in progress", metrics.running.clone());
        own.register("images", "Images by phase", metrics.images.clone());
        own.register("image_copied_tags", "Tags that were copied", metrics.tags.clone());
        own.register("image_copied_bytes", "Bytes that were copied", metrics.bytes.clone());
        let (name, help) = ("image_operator_reload", "Runs that copied something");
        registry.register(name, help, metrics.reloads.clone());
        let (name, help) =
            ("image_operator_last_time_image_was_reloaded", "Unix time of the last run that copied something");
        registry.register(name, help, metrics.last_reloads.clone());
        let (name, help) = ("image_operator_dockerhub_quota_limit", "Pulls that Docker Hub allows in its window");
        registry.register(name, help, metrics.quota_limit.clone());
        let (name, help) =
            ("image_operator_dockerhub_quota_remaining", "Pulls that Docker Hub still allows in its window");
        registry.register(name, help, metrics.quota_remaining.clone());
        metrics
    }

    /// Counts a run that copied something.
    pub fn count_copied(&self, image: &str, tags: u64, bytes: u64, at: Timestamp) {
        self.tags.inc_by(tags);
        self.bytes.inc_by(bytes);
        let labels = ImageLabels { image: self.names.label(image) };
        self.reloads.get_or_create(&labels).inc();
        self.last_reloads.get_or_create(&labels).set(at.as_second());
    }

    /// Notes a budget that a registry announces, if it is Docker Hub's.
    pub fn note_limit(&self, registry: &RegistryAddress, limit: RateLimit) {
        let count = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
        if !registry.is_docker_hub() {
            return;
        }
        if let Some(all) = count(limit.limit) {
            self.quota_limit.set(all);
        }
        if let Some(left) = count(limit.remaining) {
            self.quota_remaining.set(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_the_earlier_operator_have_their_names_and_a_bound() {
        let mut registry = Registry::default();
        let metrics = ImageMetrics::register(&mut registry);
        for number in 0..=MAX_IMAGES {
            metrics.count_copied(&format!("image-{number}"), 2, 100, Timestamp::UNIX_EPOCH);
        }
        let limit = RateLimit { limit: Some(100), remaining: Some(99), reset: None };
        metrics.note_limit(&RegistryAddress::parse("quay.io").unwrap(), limit);
        assert_eq!(metrics.quota_remaining.get(), 0);
        metrics.note_limit(&RegistryAddress::parse("docker.io").unwrap(), limit);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "image_operator_reload_total{image=\"image-0\"} 1",
            "image_operator_reload_total{image=\"other\"} 1",
            "image_operator_last_time_image_was_reloaded{image=\"image-0\"} 0",
            "image_operator_dockerhub_quota_limit 100",
            "image_operator_dockerhub_quota_remaining 99",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}");
        }
        assert_eq!(
            text.lines().filter(|line| line.starts_with("image_operator_reload_total{")).count(),
            MAX_IMAGES + 1
        );
    }
}
