//! The manager's own metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::requests::RequestMetrics;
use crate::hosted::sources::ManagementLayer;
use crate::mirrors::finding::{FindingReason, Severity};

/// One outcome of a reconcile or a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// From a closed set.
    pub outcome: &'static str,
}

/// One severity of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SeverityLabels {
    /// `Error` or `Warning`.
    pub severity: &'static str,
}

/// One kind of review by the webhook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    /// `target`, `hosted_cluster` or `none`.
    pub rule: &'static str,
    /// `patched`, `unchanged`, `unreadable`, `busy` or `timeout`.
    pub outcome: &'static str,
}

/// Everything that the manager counts. Names of objects are never labels.
#[derive(Clone, Debug)]
pub struct ManagerMetrics {
    /// Requests of the client.
    pub requests: RequestMetrics,
    /// Requests to guests.
    pub guest_requests: RequestMetrics,
    /// How long a reconcile of one hosted cluster took, by outcome.
    pub reconciles: Family<OutcomeLabels, Histogram>,
    /// Writes to target Deployments: `ok`, `error`, `timeout` or `conflict`.
    pub patches: Family<OutcomeLabels, Counter>,
    /// Reviews by the webhook.
    pub reviews: Family<ReviewLabels, Counter>,
    /// When the webhook's certificate ends, in seconds since 1970; 0 without one.
    pub webhook_certificate_expires: Gauge,
    /// Whether this instance leads.
    pub leader: Gauge,
    /// Hosted clusters in our care.
    pub hosted_clusters: Gauge,
    /// Sources of the management layer that have mirrors.
    pub sources: Gauge,
    /// Findings about the management layer.
    pub findings: Family<SeverityLabels, Gauge>,
    /// Sources that one entry allows to contact and another does not.
    pub conflicts: Gauge,
    /// Target Deployments that exist.
    pub targets: Gauge,
    /// Those of them that carry the wanted map.
    pub targets_up_to_date: Gauge,
    /// Hosted clusters that wait for a person to let a mass removal through.
    pub removals_held: Gauge,
    /// Hosted clusters by what the rollout budget makes of them: `InFlight` (the failed ones included), `Waiting`,
    /// `Failed`, `Unavailable`.
    pub rollouts: Family<StateLabels, Gauge>,
    /// Whether no rollout begins because too many are not back in time.
    pub rollouts_halted: Gauge,
    /// Hosted clusters by the reason of `GuestSynced`.
    pub guests: Family<ReasonLabels, Gauge>,
    /// Nodes of guests.
    pub nodes: Gauge,
    /// Those of them that have their mirrors.
    pub nodes_applied: Gauge,
}

/// What the rollout budget makes of a hosted cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    /// From a closed set.
    pub state: &'static str,
}

/// Why a condition has its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// From the closed set.
    pub reason: &'static str,
}

impl ManagerMetrics {
    /// Registers everything under the prefix `hypermirror_`.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("hypermirror");
        let metrics = Self {
            requests: RequestMetrics::register(registry),
            guest_requests: RequestMetrics::register_guests(registry),
            reconciles: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            patches: Family::default(),
            reviews: Family::default(),
            webhook_certificate_expires: Gauge::default(),
            leader: Gauge::default(),
            hosted_clusters: Gauge::default(),
            sources: Gauge::default(),
            findings: Family::default(),
            conflicts: Gauge::default(),
            targets: Gauge::default(),
            targets_up_to_date: Gauge::default(),
            removals_held: Gauge::default(),
            rollouts: Family::default(),
            rollouts_halted: Gauge::default(),
            guests: Family::default(),
            nodes: Gauge::default(),
            nodes_applied: Gauge::default(),
        };
        let reconciles = "How long a reconcile of one hosted cluster took";
        registry.register("reconcile_duration_seconds", reconciles, metrics.reconciles.clone());
        registry.register("target_patches", "Writes to target Deployments", metrics.patches.clone());
        registry.register("webhook_reviews", "Reviews by the webhook", metrics.reviews.clone());
        let expires = "When the webhook's certificate ends, in seconds since 1970; 0 without one";
        registry.register("webhook_certificate_expires", expires, metrics.webhook_certificate_expires.clone());
        registry.register("leader", "Whether this instance leads", metrics.leader.clone());
        registry.register("hosted_clusters", "Hosted clusters in our care", metrics.hosted_clusters.clone());
        registry.register("sources", "Sources of the management layer that have mirrors", metrics.sources.clone());
        registry.register("findings", "Findings about the management layer", metrics.findings.clone());
        let conflicts = "Sources that one entry allows to contact and another does not";
        registry.register("source_conflicts", conflicts, metrics.conflicts.clone());
        registry.register("targets", "Target Deployments that exist", metrics.targets.clone());
        let up_to_date = "Target Deployments that carry the wanted map";
        registry.register("targets_up_to_date", up_to_date, metrics.targets_up_to_date.clone());
        let held = "Hosted clusters that wait for a mass removal to be let through";
        registry.register("removals_held", held, metrics.removals_held.clone());
        let rollouts = "Hosted clusters by what the rollout budget makes of them";
        registry.register("rollouts", rollouts, metrics.rollouts.clone());
        let halted = "Whether no rollout begins because too many are not back in time";
        registry.register("rollouts_halted", halted, metrics.rollouts_halted.clone());
        registry.register("guests", "Hosted clusters by the reason of GuestSynced", metrics.guests.clone());
        registry.register("nodes", "Nodes of guests", metrics.nodes.clone());
        registry.register("nodes_applied", "Nodes of guests that have their mirrors", metrics.nodes_applied.clone());
        metrics
    }

    /// What the management layer comes to.
    pub fn tell_layer(&self, layer: &ManagementLayer) {
        self.sources.set(gauge(layer.map.resolved.sources.len()));
        let of = |severity| layer.findings.iter().filter(|finding| finding.severity == severity).count();
        for severity in [Severity::Error, Severity::Warning] {
            let labels = SeverityLabels { severity: severity.as_str() };
            self.findings.get_or_create(&labels).set(gauge(of(severity)));
        }
        let conflicts = layer.findings.iter().filter(|finding| finding.reason == FindingReason::PolicyConflict).count();
        self.conflicts.set(gauge(conflicts));
    }
}

/// A count as a gauge takes it.
pub fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
