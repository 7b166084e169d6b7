//! The metrics of the manager.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::lag::LagMetrics;
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

/// The metrics of the manager. Names of objects are never labels, because the number of series must not grow with them.
#[derive(Clone, Debug)]
pub struct ManagerMetrics {
    /// Requests to the API server of the management cluster.
    pub requests: RequestMetrics,
    /// Requests to the API servers of guest clusters.
    pub guest_requests: RequestMetrics,
    /// Duration of reconciles of one hosted cluster, by outcome.
    pub reconciles: Family<OutcomeLabels, Histogram>,
    /// Writes to target Deployments: `ok`, `error`, `timeout` or `conflict`.
    pub patches: Family<OutcomeLabels, Counter>,
    /// Reviews by the webhook.
    pub reviews: Family<ReviewLabels, Counter>,
    /// Expiry of the webhook's certificate, in seconds since 1970. 0 without a certificate.
    pub webhook_certificate_expires: Gauge,
    /// Whether this replica is the leader.
    pub leader: Gauge,
    /// Hosted clusters that the manager reconciles.
    pub hosted_clusters: Gauge,
    /// Sources of the management layer that have mirrors.
    pub sources: Gauge,
    /// Findings about the management layer.
    pub findings: Family<SeverityLabels, Gauge>,
    /// Sources whose entries have different policies.
    pub conflicts: Gauge,
    /// Target Deployments that exist.
    pub targets: Gauge,
    /// Target Deployments that have the desired map, by the reports.
    pub targets_up_to_date: Gauge,
    /// What of control planes is behind the last edit.
    pub control_plane_lag: LagMetrics,
    /// What of nodes is behind the last edit.
    pub node_lag: LagMetrics,
    /// Hosted clusters for which a mass removal waits for approval.
    pub removals_held: Gauge,
    /// Hosted clusters with sources that are held because their mirrors are not proven.
    pub proofs_held: Gauge,
    /// Hosted clusters by what is known about their mirrors: `Proven`, `Missing`, `Unknown`.
    pub mirrors_proven: Family<StateLabels, Gauge>,
    /// Age of the oldest check by which mirrors count as proven or not. 0 without any.
    pub proof_age: Gauge,
    /// Hosted clusters by the state of their rollout: `InFlight` (including failed ones), `Waiting`, `Failed`, `Unavailable`.
    pub rollouts: Family<StateLabels, Gauge>,
    /// Whether rollouts are halted because too many failed.
    pub rollouts_halted: Gauge,
    /// Hosted clusters by the reason of `GuestSynced`.
    pub guests: Family<ReasonLabels, Gauge>,
    /// Linux nodes of guest clusters.
    pub nodes: Gauge,
    /// Nodes of guest clusters that use the declared mirrors.
    pub nodes_applied: Gauge,
}

/// The state of a hosted cluster's rollout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    /// From a closed set.
    pub state: &'static str,
}

/// The reason of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// From a closed set.
    pub reason: &'static str,
}

impl ManagerMetrics {
    /// Registers all metrics with the prefix `hypermirror_`.
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
            control_plane_lag: LagMetrics::of_control_planes(registry),
            node_lag: LagMetrics::of_nodes(registry),
            removals_held: Gauge::default(),
            proofs_held: Gauge::default(),
            mirrors_proven: Family::default(),
            proof_age: Gauge::default(),
            rollouts: Family::default(),
            rollouts_halted: Gauge::default(),
            guests: Family::default(),
            nodes: Gauge::default(),
            nodes_applied: Gauge::default(),
        };
        metrics.register_all(registry);
        metrics
    }

    fn register_all(&self, registry: &mut Registry) {
        let reconciles = "Duration of reconciles of one hosted cluster";
        registry.register("reconcile_duration_seconds", reconciles, self.reconciles.clone());
        registry.register("target_patches", "Writes to target Deployments", self.patches.clone());
        registry.register("webhook_reviews", "Reviews by the webhook", self.reviews.clone());
        let expires = "Expiry of the webhook's certificate, in seconds since 1970; 0 without a certificate";
        registry.register("webhook_certificate_expires", expires, self.webhook_certificate_expires.clone());
        registry.register("leader", "Whether this replica is the leader", self.leader.clone());
        registry.register(
            "hosted_clusters",
            "Hosted clusters that the manager reconciles",
            self.hosted_clusters.clone(),
        );
        registry.register("sources", "Sources of the management layer that have mirrors", self.sources.clone());
        registry.register("findings", "Findings about the management layer", self.findings.clone());
        let conflicts = "Sources whose entries have different policies";
        registry.register("source_conflicts", conflicts, self.conflicts.clone());
        registry.register("targets", "Target Deployments that exist", self.targets.clone());
        let up_to_date = "Target Deployments that have the desired map, by the last reports";
        registry.register("targets_up_to_date", up_to_date, self.targets_up_to_date.clone());
        let held = "Hosted clusters for which a mass removal waits for approval";
        registry.register("removals_held", held, self.removals_held.clone());
        self.register_proofs(registry);
        let rollouts = "Hosted clusters by the state of their rollout";
        registry.register("rollouts", rollouts, self.rollouts.clone());
        let halted = "Whether rollouts are halted because too many failed";
        registry.register("rollouts_halted", halted, self.rollouts_halted.clone());
        registry.register("guests", "Hosted clusters by the reason of GuestSynced", self.guests.clone());
        registry.register("nodes", "Linux nodes of guest clusters", self.nodes.clone());
        registry.register(
            "nodes_applied",
            "Linux nodes of guest clusters that use the declared mirrors",
            self.nodes_applied.clone(),
        );
    }

    fn register_proofs(&self, registry: &mut Registry) {
        let held = "Hosted clusters with sources that wait until their mirrors are proven";
        registry.register("proofs_held", held, self.proofs_held.clone());
        let proven = "Hosted clusters by what is known about their mirrors";
        registry.register("mirrors_proven", proven, self.mirrors_proven.clone());
        let age = "Age of the oldest check of mirrors in a MirrorCoverage";
        registry.register("proof_age_seconds", age, self.proof_age.clone());
    }

    /// Records the sources and findings of the management layer.
    pub fn record_layer(&self, layer: &ManagementLayer) {
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

/// A count as the value of a gauge.
pub fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
