//! How long hosted clusters are behind the edits that arrived while this replica leads.

use std::time::{Duration, Instant};

use hypermirror_api::{ClusterKey, Reason};

use super::Index;
use super::change::Changed;
use crate::fleet::lag::{FleetLag, Lag, Progress};

/// The edits of a term. A standby computes no turns, so it does not know what is up to date.
#[derive(Debug, Default)]
pub struct Edits {
    leads: bool,
    /// Number of the last edit.
    pub(super) number: u64,
}

/// A part of a hosted cluster with mirrors of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The target Deployments.
    ControlPlane,
    /// The nodes of the guest cluster.
    Nodes,
}

impl Side {
    const fn lag(self, cluster: &mut super::Cluster) -> &mut Lag {
        match self {
            Self::ControlPlane => &mut cluster.control_plane_lag,
            Self::Nodes => &mut cluster.node_lag,
        }
    }
}

impl Index {
    /// Starts a term. Everything is pending until its first turn, because edits may have been made while nobody was the leader.
    pub fn begin_lags(&mut self, now: Instant) {
        self.edits.leads = true;
        self.edit_all(&[Side::ControlPlane, Side::Nodes], now);
    }

    /// Ends a term.
    pub(super) fn end_lags(&mut self) {
        self.edits.leads = false;
        for cluster in self.clusters.values_mut() {
            cluster.control_plane_lag.clear();
            cluster.node_lag.clear();
        }
    }

    /// Records a change of the mirrors of all control planes.
    pub fn edit_management(&mut self, now: Instant) {
        self.edit_all(&[Side::ControlPlane], now);
    }

    fn edit_all(&mut self, sides: &[Side], now: Instant) {
        if !self.edits.leads {
            return;
        }
        self.edits.number += 1;
        for cluster in self.clusters.values_mut() {
            for side in sides {
                side.lag(cluster).edit(self.edits.number, now);
            }
        }
    }

    /// Records what follows from a change that may be an edit. What enqueues guest clusters as well is one: HostedClusters,
    /// NodePools and ConfigMaps. Other changes are Deployments and reports, which are results.
    pub fn record_edits(&mut self, changed: &Changed, now: Instant) {
        if !self.edits.leads || changed.guests.is_empty() || changed.clusters.is_empty() {
            return;
        }
        self.edits.number += 1;
        for key in &changed.clusters {
            if let Some(cluster) = self.clusters.get_mut(key) {
                cluster.control_plane_lag.edit(self.edits.number, now);
                cluster.node_lag.edit(self.edits.number, now);
            }
        }
    }

    /// Records what a turn has observed whose facts had this number of edits. Returns the time from the edit to the last write.
    pub fn record_progress(
        &mut self,
        side: Side,
        key: &ClusterKey,
        edits: u64,
        progress: Progress,
        now: Instant,
    ) -> Option<Duration> {
        let cluster = self.clusters.get_mut(key).filter(|_| self.edits.leads)?;
        side.lag(cluster).record(edits, progress, now)
    }

    /// Records why the nodes of a hosted cluster cannot be observed.
    pub fn stall_nodes(&mut self, key: &ClusterKey, reason: Reason, is_held: bool) {
        if let Some(cluster) = self.clusters.get_mut(key) {
            cluster.node_lag.stall(reason, is_held);
        }
    }

    /// The lag of the fleet. Nothing is written for a hosted cluster that is being deleted, which can take long.
    pub fn fleet_lag(&self, side: Side, now: Instant) -> FleetLag {
        let mut fleet = FleetLag::default();
        let stays = |cluster: &super::Cluster| cluster.object.metadata.deletion_timestamp.is_none();
        for (key, cluster) in self.clusters().filter(|(_, cluster)| stays(cluster)) {
            let pending = match side {
                Side::ControlPlane => cluster.control_plane_lag.pending(|| self.existing_targets(key), now),
                Side::Nodes => cluster.node_lag.pending(|| self.known_nodes(key), now),
            };
            if let Some(pending) = pending {
                fleet.add(pending);
            }
        }
        fleet
    }

    fn existing_targets(&self, key: &ClusterKey) -> usize {
        self.targets_of(key).iter().filter(|slot| slot.meta.is_some()).count()
    }

    /// The nodes when they were last counted, by this process or a previous one.
    fn known_nodes(&self, key: &ClusterKey) -> usize {
        let outcome = self.guests.outcome(key);
        let reported = self.cluster(key).and_then(|cluster| cluster.report.as_ref()?.nodes.as_ref());
        let nodes = outcome.as_ref().and_then(|outcome| outcome.nodes_report.as_ref()).or(reported);
        nodes.and_then(|nodes| usize::try_from(nodes.total).ok()).unwrap_or_default()
    }
}
