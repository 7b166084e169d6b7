//! Who is in flight, as the API server knows it: the marks of targets against what the report says is done.

use hypermirror_api::report::{RolloutReport, RolloutState};
use jiff::Timestamp;

use super::targets::TargetMeta;
use super::{ClusterKey, Index};
use crate::fleet::rollout::Mark;

/// The mark of the rollout that a report says is done.
fn done(report: &RolloutReport) -> Option<Timestamp> {
    report.started.parse().ok().filter(|_| report.state == RolloutState::Done)
}

impl Index {
    /// When the last rollout of a hosted cluster began that the rollout budget counted.
    pub fn last_rollout(&self, key: &ClusterKey) -> Option<Timestamp> {
        self.last_mark(key).map(|mark| mark.at)
    }

    fn last_mark(&self, key: &ClusterKey) -> Option<Mark> {
        self.targets.mark(&key.control_plane_namespace()).filter(|_| self.owns_namespace(key))
    }

    /// Takes in the marks of one target's Deployments, as a list tells them: the watch may be behind.
    pub fn note_marks(&mut self, place: usize, targets: &[TargetMeta]) {
        for target in targets {
            self.targets.note_mark(place, target);
            if let Some(owner) = self.claims.owner(&target.namespace) {
                self.recount(&owner);
            }
        }
    }

    /// Takes in what the server tells of one hosted cluster. One that is being deleted, or whose control-plane namespace is
    /// not its own, holds no place.
    pub(super) fn recount(&mut self, key: &ClusterKey) {
        if !self.rollouts.budget().is_on() {
            return;
        }
        let Some(cluster) = self.clusters.get(key) else { return };
        if cluster.object.metadata.deletion_timestamp.is_some() || !self.owns_namespace(key) {
            self.rollouts.forget(key);
            return;
        }
        let report = cluster.report.as_ref().and_then(|report| report.control_plane.rollout.as_ref());
        let done = report.and_then(done).max(cluster.memory.rollout_done);
        let mark = self.last_mark(key);
        self.rollouts.told(key, mark.filter(|mark| done.is_none_or(|done| mark.at > done)));
    }

    /// The same for all: after a whole list.
    pub(super) fn recount_all(&mut self) {
        if self.rollouts.budget().is_on() {
            for key in self.keys() {
                self.recount(&key);
            }
        }
    }
}
