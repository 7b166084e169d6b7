//! The lists that read the targets of the whole fleet at the start of a term, in place of a request for each.

use std::collections::{BTreeSet, HashSet};

use hypermirror_api::ClusterKey;

use super::Targets;
use crate::hosted::observed::ObservedTarget;

/// Minimum number of targets to list. Fewer are read singly, which is about as many requests.
const LISTED_FROM: usize = 10;

/// One list: the Deployments of one target in all namespaces, in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetList {
    /// The number of the term.
    pub term: i64,
    /// The index of the target.
    pub place: usize,
}

/// A Deployment of a list.
#[derive(Clone, Debug)]
pub struct ListedTarget {
    /// Its namespace.
    pub namespace: String,
    /// Its state.
    pub observed: ObservedTarget,
}

/// The lists of the current term.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The last term whose lists have begun.
    term: Option<i64>,
    /// The targets whose list is being read, by index.
    open: BTreeSet<usize>,
    /// The hosted clusters that wait for the end of all lists.
    waiting: HashSet<ClusterKey>,
}

impl Targets {
    /// Begins the lists of a term. From now on the targets that have to be read wait for their list if most of the fleet's have to
    /// be read. Returns whether there is a list to read. The second call in a term does nothing.
    pub fn begin_lists(&mut self, term: i64) -> bool {
        // Single reads must not begin before, so whoever reconciles first in a term calls this, and not a task that may be late.
        if self.lists.term == Some(term) {
            return false;
        }
        self.end_term();
        self.lists.term = Some(term);
        // A replica that led before knows many targets, and reads only what another leader has written meanwhile.
        for place in 0..self.count {
            if self.most_are_stale(place) {
                self.lists.open.insert(place);
                let slots = self.namespaces.values_mut().filter_map(|slots| slots.get_mut(place));
                slots.for_each(|slot| slot.awaits_list = slot.is_stale());
            }
        }
        !self.lists.open.is_empty()
    }

    /// Whether a list of these Deployments costs less than reading the stale ones singly.
    fn most_are_stale(&self, place: usize) -> bool {
        let slots = self.namespaces.values().filter_map(|slots| slots.get(place));
        let (mut all, mut stale) = (0, 0);
        for slot in slots.filter(|slot| slot.meta.is_some()) {
            all += 1;
            stale += usize::from(slot.is_stale());
        }
        stale >= LISTED_FROM && stale * 2 >= all
    }

    /// The term of the lists that are being read, and their targets by index.
    pub fn open_lists(&self) -> Option<(i64, Vec<usize>)> {
        let term = self.lists.term.filter(|_| !self.lists.open.is_empty())?;
        Some((term, self.lists.open.iter().copied().collect()))
    }

    /// Whether a list is being read. If so, the hosted cluster is one of [`Self::take_waiting`] at the end of the last one.
    pub fn await_lists(&mut self, key: &ClusterKey) -> bool {
        let is_reading = !self.lists.open.is_empty();
        if is_reading {
            self.lists.waiting.insert(key.clone());
        }
        is_reading
    }

    /// The hosted clusters that have waited for the end of all lists, if that has come.
    pub fn take_waiting(&mut self) -> Vec<ClusterKey> {
        if self.lists.open.is_empty() { self.lists.waiting.drain().collect() } else { Vec::new() }
    }

    /// Whether a list is being read.
    pub fn is_open(&self, list: TargetList) -> bool {
        self.lists.term == Some(list.term) && self.lists.open.contains(&list.place)
    }

    /// Stores a Deployment of a list if it was waited for. Returns whether it was, and no other target of its namespace is.
    pub fn observe_listed(&mut self, list: TargetList, listed: ListedTarget) -> bool {
        let ListedTarget { namespace, observed } = listed;
        if !self.is_open(list) {
            return false;
        }
        let slot = self.namespaces.get_mut(&namespace).and_then(|slots| slots.get_mut(list.place));
        // One that was not waited for has been read or written meanwhile, and the list may be older.
        let Some(slot) = slot.filter(|slot| slot.awaits_list) else { return false };
        slot.awaits_list = false;
        let is_older = slot.observed.as_ref().is_some_and(|known| {
            known.uid == observed.uid && known.generation.unwrap_or_default() > observed.generation.unwrap_or_default()
        });
        if !is_older {
            self.observe(&namespace, list.place, observed);
        }
        self.awaits_nothing(&namespace)
    }

    /// Ends a list, complete or not: what it does not have is read singly. Returns the namespaces that waited for it.
    pub fn end_list(&mut self, list: TargetList) -> Vec<String> {
        if !self.is_open(list) {
            return Vec::new();
        }
        self.lists.open.remove(&list.place);
        // A Deployment that was deleted or made while the list was read is not in it, and nor is one of a page that failed.
        let mut waited = Vec::new();
        for (namespace, slots) in &mut self.namespaces {
            let Some(slot) = slots.get_mut(list.place).filter(|slot| slot.awaits_list) else { continue };
            slot.awaits_list = false;
            waited.push(namespace.clone());
        }
        waited.retain(|namespace| self.awaits_nothing(namespace));
        waited
    }

    fn awaits_nothing(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).into_iter().flatten().all(|slot| !slot.awaits_list)
    }

    /// Ends all lists: the next leader may write what they have.
    pub fn end_term(&mut self) {
        self.lists = Lists::default();
        self.namespaces.values_mut().flatten().for_each(|slot| slot.awaits_list = false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::TargetMeta;
    use super::*;

    const FLEET: usize = 12;

    fn namespace(n: usize) -> String {
        format!("clusters-{n:02}")
    }

    fn meta(n: usize, generation: i64) -> TargetMeta {
        TargetMeta { namespace: namespace(n), uid: "u".to_owned(), generation, rollout: None }
    }

    fn observed(generation: i64) -> ObservedTarget {
        ObservedTarget { uid: "u".to_owned(), generation: Some(generation), ..ObservedTarget::default() }
    }

    fn listed(n: usize, generation: i64) -> ListedTarget {
        ListedTarget { namespace: namespace(n), observed: observed(generation) }
    }

    /// A fleet with two targets, none of which was read.
    fn fleet() -> Targets {
        let mut targets = Targets::new(2);
        for place in 0..2 {
            (0..FLEET).for_each(|n| assert!(targets.apply(place, &meta(n, 5))));
        }
        targets
    }

    fn awaits(targets: &Targets, n: usize) -> Vec<bool> {
        targets.known(&namespace(n)).iter().map(|target| target.awaits_list).collect()
    }

    fn generation(targets: &Targets, n: usize, place: usize) -> Option<i64> {
        targets.of(&namespace(n))[place].observed.as_ref()?.generation
    }

    const FIRST: TargetList = TargetList { term: 1, place: 0 };
    const SECOND: TargetList = TargetList { term: 1, place: 1 };

    #[test]
    fn a_namespace_is_complete_when_all_its_targets_are_listed_or_no_list_has_them() {
        let mut targets = fleet();
        assert!(targets.begin_lists(1) && !targets.begin_lists(1));
        assert_eq!(targets.open_lists(), Some((1, vec![0, 1])));
        assert!(!targets.observe_listed(FIRST, listed(0, 5)), "the second target is missing");
        assert_eq!(awaits(&targets, 0), [false, true]);
        assert!(targets.observe_listed(SECOND, listed(0, 5)));
        assert!(!targets.of(&namespace(0)).iter().any(super::super::TargetSlot::is_stale));
        assert!(!targets.observe_listed(FIRST, listed(FLEET, 5)), "no hosted cluster has this namespace");
        assert!(!targets.observe_listed(FIRST, listed(1, 5)));
        assert_eq!(targets.end_list(SECOND), [namespace(1)], "the others wait for the first list");
        let mut left = targets.end_list(FIRST);
        left.sort();
        assert_eq!(left, (2..FLEET).map(namespace).collect::<Vec<_>>());
        assert_eq!((targets.open_lists(), targets.begin_lists(1)), (None, false), "single reads, until the next term");
    }

    #[test]
    fn what_is_newer_than_a_list_stays() {
        let mut targets = fleet();
        targets.observe(&namespace(0), 0, observed(7));
        targets.apply(0, &meta(0, 8));
        targets.begin_lists(1);
        targets.observe_listed(FIRST, listed(0, 6));
        assert_eq!((generation(&targets, 0, 0), awaits(&targets, 0)), (Some(7), vec![false, true]));
        targets.observe_listed(FIRST, listed(1, 5));
        targets.observe(&namespace(1), 0, observed(6)); // a write
        targets.observe_listed(FIRST, listed(1, 5));
        assert_eq!(generation(&targets, 1, 0), Some(6));
        targets.apply(0, &meta(2, 6));
        targets.observe_listed(FIRST, listed(2, 5));
        let known = &targets.known(&namespace(2))[0];
        assert!(known.is_stale && !known.awaits_list, "the watch has news: it is read singly");
    }

    #[test]
    fn few_stale_targets_are_read_singly() {
        let mut targets = fleet();
        for place in 0..2 {
            (0..=FLEET - LISTED_FROM).for_each(|n| drop(targets.observe(&namespace(n), place, observed(5))));
        }
        assert!(!targets.begin_lists(1));
        assert_eq!(awaits(&targets, FLEET - 1), [false, false]);
        let mut many = Targets::new(1);
        (0..40).for_each(|n| assert!(many.apply(0, &meta(n, 5))));
        (0..25).for_each(|n| drop(many.observe(&namespace(n), 0, observed(5))));
        assert!(!many.begin_lists(1), "a list has all 40, and 15 are needed");
    }

    #[test]
    fn what_depends_on_the_whole_fleet_waits_for_the_last_list() {
        let (mut targets, key): (_, ClusterKey) = (fleet(), "clusters/a".parse().unwrap());
        assert!(!targets.await_lists(&key), "no list has begun");
        targets.begin_lists(1);
        assert!(targets.await_lists(&key) && targets.await_lists(&key));
        targets.end_list(FIRST);
        assert!(targets.take_waiting().is_empty());
        targets.end_list(SECOND);
        assert_eq!((targets.take_waiting(), targets.take_waiting()), (vec![key.clone()], Vec::new()));
        assert!(!targets.await_lists(&key));
    }

    #[test]
    fn a_term_that_ends_takes_its_lists_along() {
        let mut targets = fleet();
        targets.begin_lists(1);
        targets.end_term();
        assert_eq!((awaits(&targets, 0), targets.open_lists()), (vec![false, false], None));
        assert!(!targets.observe_listed(FIRST, listed(0, 5)));
        assert!(targets.end_list(FIRST).is_empty());
        assert!(targets.begin_lists(2));
        assert!(!targets.observe_listed(FIRST, listed(0, 5)), "a page of the last term");
        assert_eq!(awaits(&targets, 0), [true, true]);
    }
}
