//! How long hosted clusters are behind the last edit, for metrics.

use std::time::Instant;

use hypermirror_api::{ClusterKey, Reason};

use super::Store;
use crate::fleet::lag::{FleetLag, Progress};
use crate::hosted::sources::ManagementLayer;
use crate::management::index::lags::Side;

impl Store {
    /// Starts a term, before its first turn.
    pub fn begin_lags(&self) {
        self.with(|index| index.begin_lags(Instant::now()));
    }

    /// Stores the management layer. If its mirrors have changed, that is an edit of all control planes.
    pub(super) fn set_management(&self, layer: ManagementLayer) {
        self.with(|index| {
            let before = index.management_revision();
            index.set_management(layer);
            if index.management_revision() != before {
                index.edit_management(Instant::now());
            }
        });
    }

    /// Records what a turn has observed whose facts had this number of edits.
    pub fn record_progress(&self, side: Side, key: &ClusterKey, edits: u64, progress: Progress) {
        let took = self.with(|index| index.record_progress(side, key, edits, progress, Instant::now()));
        let metrics = match side {
            Side::ControlPlane => &self.metrics.control_plane_lag,
            Side::Nodes => &self.metrics.node_lag,
        };
        if let Some(took) = took {
            metrics.durations.observe(took.as_secs_f64());
        }
    }

    /// Records why the nodes of a hosted cluster cannot be observed.
    pub fn stall_nodes(&self, key: &ClusterKey, reason: Reason, is_held: bool) {
        self.with(|index| index.stall_nodes(key, reason, is_held));
    }

    /// The lag of the fleet.
    pub fn fleet_lag(&self, side: Side) -> FleetLag {
        self.with(|index| index.fleet_lag(side, Instant::now()))
    }
}
