//! The rollouts in flight: the marks of targets, compared with the completed rollout in the report.

use hypermirror_api::report::{RolloutReport, RolloutState};
use jiff::Timestamp;

use super::targets::TargetMeta;
use super::{ClusterKey, Index};
use crate::fleet::rollout::{Claim, Counts, Mark};

/// The mark of the completed rollout in a report.
fn done(report: &RolloutReport) -> Option<Timestamp> {
    report.started.parse().ok().filter(|_| report.state == RolloutState::Done)
}

impl Index {
    /// Start time of the last rollout of a hosted cluster that counted in the rollout budget.
    pub fn last_rollout(&self, key: &ClusterKey) -> Option<Timestamp> {
        self.last_mark(key).map(|mark| mark.at)
    }

    fn last_mark(&self, key: &ClusterKey) -> Option<Mark> {
        self.targets.mark(&key.control_plane_namespace()).filter(|_| self.owns_namespace(key))
    }

    /// Updates the marks of one target's Deployments from a list, because the watch may be delayed.
    pub fn update_marks(&mut self, place: usize, targets: &[TargetMeta]) {
        for target in targets {
            self.targets.update_mark(place, target);
            if let Some(owner) = self.claims.owner(&target.namespace) {
                self.recount(&owner);
            }
        }
    }

    /// Requests a slot of the rollout budget.
    pub fn claim_rollout(&mut self, key: &ClusterKey, now: Timestamp) -> Claim<ClusterKey> {
        let last = self.last_rollout(key);
        self.rollouts.claim(key, last, now)
    }

    /// Ends a reconcile: releases a claim for which nothing was written, and removes a hosted cluster from the queue that has
    /// no change. Returns those that may start now.
    pub fn end_reconcile(
        &mut self,
        key: &ClusterKey,
        releases: bool,
        stays_queued: bool,
        now: Timestamp,
    ) -> Vec<ClusterKey> {
        if releases {
            self.rollouts.release(key);
        }
        if !stays_queued {
            self.rollouts.dequeue(key);
        }
        self.rollouts.next(now)
    }

    /// The rollouts of the fleet, and the hosted clusters to reconcile: those that may start or, if other rollouts have failed
    /// than at the last call, all waiting ones, because a halt starts, ends, or has a different message.
    pub fn rollout_counts(&self, failed: &[ClusterKey], now: Timestamp) -> (Counts<ClusterKey>, Vec<ClusterKey>) {
        let counts = self.rollouts.counts(now);
        let keys =
            if counts.failed == failed { self.rollouts.next(now) } else { self.rollouts.waiting().cloned().collect() };
        (counts, keys)
    }

    /// Updates one hosted cluster in the rollout budget. It has no slot if it is being deleted or does not own its control-plane
    /// namespace.
    pub(super) fn recount(&mut self, key: &ClusterKey) {
        if !self.rollouts.budget().is_on() {
            return;
        }
        let Some(cluster) = self.clusters.get(key) else { return };
        if cluster.object.metadata.deletion_timestamp.is_some() || !self.owns_namespace(key) {
            self.rollouts.forget(key);
            return;
        }
        // The report survives a change of the leader; the memory knows of a completed rollout before its report is written. The
        // newer of both counts, so that a slot is neither kept for a moment too long nor given away twice.
        let report = cluster.report.as_ref().and_then(|report| report.control_plane.rollout.as_ref());
        let done = report.and_then(done).max(cluster.memory.rollout_done);
        let mark = self.last_mark(key);
        self.rollouts.record_mark(key, mark.filter(|mark| done.is_none_or(|done| mark.at > done)));
    }

    /// Updates all hosted clusters, after a list.
    pub(super) fn recount_all(&mut self) {
        if self.rollouts.budget().is_on() {
            for key in self.keys() {
                self.recount(&key);
            }
        }
    }
}
