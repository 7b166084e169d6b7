//! The memory of this process about one hosted cluster between two turns.
//!
//! State on the API server is not kept here: annotations, marks and reports are read again, also by the next leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::catalogs::patience::CatalogMemory;
use super::contest::Contest;
use super::edits::Edits;
use super::known::EntrySet;
use super::plan::TargetPlan;
use super::sources::OverrideMap;

/// The known state of the ConfigMap with the boot file of one NodePool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// A digest of the desired content, if there should be a ConfigMap.
    pub wanted: Option<String>,
    /// Since when this content is desired.
    pub since: Instant,
    /// A digest of the current content, once it is known.
    pub current: Option<Option<String>>,
    /// When it was read or written.
    pub read_at: Instant,
}

/// The ConfigMaps of one hosted cluster, by NodePool.
pub type Boots = BTreeMap<String, Boot>;

/// The memory of one hosted cluster.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The entries of the last map that no gate held.
    pub last_map: Option<Arc<EntrySet>>,
    /// Own entries that were removed from the map while this process ran; see [`Self::removed_with`].
    pub removed: Arc<EntrySet>,
    /// The value with which stock operators were last triggered, and when.
    pub touched: Option<(String, Instant)>,
    /// A digest of the parent's value, and since when it has this value.
    pub parent_since: Option<(String, Instant)>,
    /// The revision of the management layer when all targets were last up to date. A rollout that starts with the same revision is
    /// caused by the hosted cluster's own mirrors.
    pub settled: Option<u64>,
    /// The mark of the last rollout that this process saw complete. The report may not have it yet.
    pub rollout_done: Option<Timestamp>,
    /// The contest of each target.
    pub contests: Vec<Contest>,
    /// The edits of its map.
    pub edits: Edits,
    /// The ConfigMaps that its nodes boot with.
    pub boots: Boots,
    /// Its OLM catalogs, if it has annotations for them.
    pub catalogs: Option<CatalogMemory>,
}

impl Memory {
    /// The memory after the end of a term. Another leader may write, so only state that stays valid is kept; a replica that becomes
    /// the leader again starts as after a restart.
    #[must_use]
    pub fn after_term(&self) -> Self {
        Self { removed: Arc::clone(&self.removed), rollout_done: self.rollout_done, ..Self::default() }
    }

    /// The removed entries once this map is recorded, except those of the management layer, which are kept once for all hosted
    /// clusters.
    pub fn removed_with(&self, map: &OverrideMap, explained: &EntrySet) -> Arc<EntrySet> {
        if self.last_map.as_ref().is_some_and(|before| Arc::ptr_eq(before, &map.entries)) {
            return Arc::clone(&self.removed);
        }
        let left = self.last_map.iter().flat_map(|before| before.iter()).chain(self.removed.iter());
        Arc::new(left.filter(|entry| !map.entries.contains(*entry) && !explained.contains(*entry)).cloned().collect())
    }

    /// Records a new map that no gate holds.
    pub fn record_map(&mut self, map: &OverrideMap, explained: &EntrySet) {
        self.removed = self.removed_with(map, explained);
        self.last_map = Some(Arc::clone(&map.entries));
    }

    /// Records that stock operators are triggered, so each of them may write its targets.
    pub fn record_trigger(&mut self, value: &str, now: Instant) {
        self.touched = Some((value.to_owned(), now));
        self.contests.iter_mut().for_each(|contest| contest.record_trigger(now));
    }

    /// Records a write to the target with this index. It may have removed the entry, and a new pod of the parent writes its children;
    /// neither counts for a contest.
    pub fn record_write(&mut self, place: usize, plan: &TargetPlan, now: Instant) {
        if !plan.restarts {
            return;
        }
        if let Some(contest) = self.contests.get_mut(place).filter(|_| !plan.keeps) {
            contest.record_removal();
        }
        if place == 0 {
            self.contests.iter_mut().skip(1).for_each(|contest| contest.record_trigger(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::catalogs::requested::Wanted;
    use super::super::entries::Entries;
    use super::*;

    fn map(text: &str) -> OverrideMap {
        let mut map = OverrideMap::default();
        map.entries = Arc::new(Entries::from(text).iter().map(str::to_owned).collect());
        map
    }

    #[test]
    fn only_entries_that_the_management_layer_does_not_explain_are_remembered() {
        let mut memory = Memory::default();
        let explained = map("m=1,m=2").entries;
        memory.record_map(&map("m=1,own=1"), &explained);
        memory.record_map(&map("m=2,own=2"), &explained);
        assert_eq!(*memory.removed, *map("own=1").entries);
        let back = map("m=2,own=1");
        assert_eq!(*memory.removed_with(&back, &explained), *map("own=2").entries);
        memory.record_map(&back, &explained);
        let same = memory.removed_with(&back, &explained);
        assert!(Arc::ptr_eq(&same, &memory.removed), "nothing moved: nothing is copied");
    }

    #[test]
    fn a_leader_that_returns_waits_for_stock_hypershift_to_write_catalogs_again() {
        let (now, wanted) = (Instant::now(), Wanted::Registries(vec!["r.example".to_owned()]));
        let (known, ..) = CatalogMemory::found(None, &wanted, &[], Duration::from_mins(5), now);
        let memory = Memory { catalogs: Some(known), settled: Some(3), ..Memory::default() };
        let after = memory.after_term();
        assert!(after.catalogs.is_none() && after.settled.is_none() && after.last_map.is_none());
    }

    #[test]
    fn removed_entries_and_completed_rollouts_survive_a_term() {
        let mut memory = Memory { rollout_done: Timestamp::from_second(5).ok(), ..Memory::default() };
        memory.record_map(&map("own=1"), &EntrySet::new());
        memory.record_map(&map(""), &EntrySet::new());
        let after = memory.after_term();
        assert_eq!((after.rollout_done, after.removed), (memory.rollout_done, map("own=1").entries));
    }

    #[test]
    fn a_restart_of_the_parent_is_recorded_as_the_trigger_of_its_children() {
        let now = Instant::now();
        let mut memory = Memory { contests: vec![Contest::default(); 3], ..Memory::default() };
        let plan = TargetPlan { restarts: true, keeps: true, ..TargetPlan::default() };
        memory.record_write(1, &plan, now);
        assert_eq!(memory.contests, vec![Contest::default(); 3]);
        memory.record_write(0, &plan, now);
        let mut triggered = Contest::default();
        triggered.record_trigger(now);
        assert_eq!(memory.contests, [Contest::default(), triggered.clone(), triggered]);
    }
}
