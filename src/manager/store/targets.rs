//! The targets that were read or written.

use hypermirror_api::ClusterKey;

use super::Store;
use crate::hosted::observed::ObservedTarget;
use crate::management::index::targets::lists::{ListedTarget, TargetList};

impl Store {
    /// Records the state of a target that was read or written.
    pub fn record_target(&self, key: &ClusterKey, place: usize, observed: ObservedTarget) {
        self.with(|index| drop(index.observe_target(key, place, observed)));
    }

    /// Records that a target did not exist when it was read.
    pub fn record_missing_target(&self, key: &ClusterKey, place: usize) {
        self.with(|index| index.miss_target(key, place));
    }

    /// Drops the known state of a hosted cluster's targets.
    pub fn distrust_targets(&self, key: &ClusterKey) {
        self.with(|index| index.distrust_targets(key));
    }

    /// Begins the lists of targets of a term, before its first single read.
    pub fn begin_target_lists(&self, term: i64) {
        if self.with(|index| index.begin_target_lists(term)) {
            self.target_lists.notify_one();
        }
    }

    /// Waits until there are lists of targets to read, and returns them.
    pub async fn target_lists_begun(&self) -> Vec<TargetList> {
        loop {
            self.target_lists.notified().await;
            // None if the term has ended meanwhile.
            if let Some((term, places)) = self.with(|index| index.open_target_lists()) {
                return places.into_iter().map(|place| TargetList { term, place }).collect();
            }
        }
    }

    /// Records a page of a list of targets, and enqueues the hosted clusters of which no list has more targets. Returns whether the
    /// list is still needed.
    pub fn record_listed_targets(&self, list: TargetList, page: Vec<ListedTarget>) -> bool {
        // One lock for each: a page may have hundreds of values to compare.
        let complete =
            page.into_iter().filter_map(|target| self.with(|index| index.observe_listed_target(list, target)));
        self.clusters.add_all(complete);
        self.with(|index| index.is_open(list))
    }

    /// Whether a list of targets is being read.
    pub fn reads_target_lists(&self) -> bool {
        self.with(|index| index.open_target_lists()).is_some()
    }

    /// Whether a list of targets is being read. If so, this hosted cluster and its guest cluster are enqueued after the last one.
    pub fn await_target_lists(&self, key: &ClusterKey) -> bool {
        self.with(|index| index.await_target_lists(key))
    }

    /// Ends a list of targets, and enqueues who waits for it. Returns the number of hosted clusters with a target that it does not
    /// have.
    pub fn end_target_list(&self, list: TargetList) -> usize {
        let (missing, waiting) = self.with(|index| index.end_target_list(list));
        let count = missing.len();
        self.clusters.add_all(missing.into_iter().chain(waiting.clone()));
        self.guests.add_all(waiting);
        count
    }
}
