//! The metrics of the lag: what is behind the last edit of mirrors, and since when.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use hypermirror_api::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::fleet::lag::{Behinds, FleetLag};

/// In seconds. An edit takes milliseconds for one hosted cluster, minutes for thousands, and hours within a rollout budget. 60 and
/// 300 are the service levels of `monitoring/rules.yaml`.
const BUCKETS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0];

/// Why hosted clusters are behind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PendingLabels {
    reason: &'static str,
}

/// The names and descriptions of one side's metrics.
struct Names {
    clusters: (&'static str, &'static str),
    oldest: (&'static str, &'static str),
    left: (&'static str, &'static str),
    durations: (&'static str, &'static str),
}

const CONTROL_PLANE: Names = Names {
    clusters: (
        "control_planes_pending",
        "Hosted clusters whose target Deployments are behind the last edit of mirrors, by reason",
    ),
    oldest: (
        "control_planes_pending_seconds",
        "Age of the oldest edit that has not reached all control planes, by reason",
    ),
    left: ("targets_pending", "Target Deployments that are behind the last edit of mirrors"),
    durations: (
        "control_plane_update_duration_seconds",
        "Time from an edit of mirrors until all target Deployments of one hosted cluster are patched",
    ),
};

const NODES: Names = Names {
    clusters: ("guests_pending", "Hosted clusters whose nodes are behind the last edit of mirrors, by reason"),
    oldest: ("guests_pending_seconds", "Age of the oldest edit that has not reached all nodes, by reason"),
    left: ("nodes_pending", "Nodes of guest clusters that are behind the last edit of mirrors"),
    durations: (
        "nodes_update_duration_seconds",
        "Time from an edit of mirrors until all nodes of one hosted cluster use it",
    ),
};

/// The lag of the control planes or of the nodes.
#[derive(Clone, Debug)]
pub struct LagMetrics {
    clusters: Family<PendingLabels, Gauge>,
    oldest: Family<PendingLabels, Gauge<f64, AtomicU64>>,
    left: Gauge,
    /// Time from an edit to the last write that it needs, for each hosted cluster.
    pub durations: Histogram,
    /// The reasons so far. They are set to 0 and not removed, so that no scrape misses a series.
    reasons: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl LagMetrics {
    /// Registers those of control planes.
    pub fn of_control_planes(registry: &mut Registry) -> Self {
        Self::register(registry, &CONTROL_PLANE)
    }

    /// Registers those of nodes.
    pub fn of_nodes(registry: &mut Registry) -> Self {
        Self::register(registry, &NODES)
    }

    fn register(registry: &mut Registry, names: &Names) -> Self {
        let metrics = Self {
            clusters: Family::default(),
            oldest: Family::default(),
            left: Gauge::default(),
            durations: Histogram::new(BUCKETS),
            reasons: Arc::new(Mutex::new([Reason::Updating.as_str()].into())),
        };
        registry.register(names.clusters.0, names.clusters.1, metrics.clusters.clone());
        registry.register(names.oldest.0, names.oldest.1, metrics.oldest.clone());
        registry.register(names.left.0, names.left.1, metrics.left.clone());
        registry.register(names.durations.0, names.durations.1, metrics.durations.clone());
        metrics.set(&FleetLag::default());
        metrics
    }

    /// Sets the gauges.
    pub fn set(&self, lag: &FleetLag) {
        self.left.set(i64::try_from(lag.left).unwrap_or(i64::MAX));
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.extend(lag.reasons.keys());
        for reason in reasons.iter().copied() {
            let Behinds { clusters, oldest } = lag.reasons.get(reason).copied().unwrap_or_default();
            let labels = PendingLabels { reason };
            self.clusters.get_or_create(&labels).set(i64::try_from(clusters).unwrap_or(i64::MAX));
            self.oldest.get_or_create(&labels).set(oldest.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_reason_that_is_over_stays_as_zero() {
        let mut registry = Registry::default();
        let metrics = LagMetrics::of_control_planes(&mut registry);
        let waiting = Behinds { clusters: 4, oldest: Duration::from_millis(2500) };
        metrics.set(&FleetLag { reasons: [("RolloutWaiting", waiting)].into(), left: 12 });
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let before = text();
        for line in [
            "control_planes_pending{reason=\"RolloutWaiting\"} 4",
            "control_planes_pending{reason=\"Updating\"} 0",
            "control_planes_pending_seconds{reason=\"RolloutWaiting\"} 2.5",
            "targets_pending 12",
        ] {
            assert!(before.lines().any(|known| known == line), "{line}\n{before}");
        }
        metrics.set(&FleetLag::default());
        assert!(text().contains("control_planes_pending{reason=\"RolloutWaiting\"} 0\n"));
    }
}
