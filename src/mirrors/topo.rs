//! Orders the mirrors of one source from the lists of several entries.
//!
//! The algorithm of `mergedMirrors` and `topoGraph.Sorted` in `openshift/runtime-utils`
//! (`pkg/registries/registries.go`, `topo.go`), with two deviations: a cycle between lists never moves the source
//! before its mirrors unless a list does, and only the first occurrence of a duplicate in a list counts (upstream it
//! causes a cycle).

use std::collections::{HashSet, VecDeque};

/// Merges lists of mirrors and preserves the order of each list as far as the others allow it.
///
/// The result has no duplicates and depends only on the set of lists, not on their order. It contains the source only
/// if a list has it before another mirror; otherwise the source is implicitly last. Lists whose only mirror is the
/// source are ignored. Lists with contradicting orders result in byte order.
pub fn merged_mirrors<'a>(source: &str, lists: &[Vec<&'a str>]) -> Vec<&'a str> {
    let mut lists: Vec<Vec<&str>> = lists.iter().filter_map(|list| normalised(source, list)).collect();
    let named = lists.iter().any(|list| list.contains(&source));
    // As upstream, the source is appended to each list that does not contain it.
    if named {
        let spelled = lists.iter().flatten().find(|mirror| **mirror == source).copied();
        for list in lists.iter_mut().filter(|list| !list.contains(&source)) {
            list.extend(spelled);
        }
    }
    let mut merged = Graph::new(&lists).sorted();
    if merged.last().is_some_and(|last| *last == source) {
        merged.pop();
    }
    merged
}

/// A list without duplicates and without the source at its end. `None` if no mirror remains.
fn normalised<'a>(source: &str, list: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut seen = HashSet::with_capacity(list.len());
    let mut list: Vec<&str> = list.iter().copied().filter(|mirror| seen.insert(*mirror)).collect();
    while list.last() == Some(&source) {
        list.pop();
    }
    (!list.is_empty()).then_some(list)
}

/// A graph of mirrors and their direct successors. A mirror is identified by its index in byte order.
struct Graph<'a> {
    names: Vec<&'a str>,
    /// In byte order, without duplicates.
    successors: Vec<Vec<usize>>,
    /// The number of direct predecessors that are not in the result yet.
    waiting_for: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn new(lists: &[Vec<&'a str>]) -> Self {
        let mut names: Vec<&str> = lists.iter().flatten().copied().collect();
        names.sort_unstable();
        names.dedup();
        let mut successors = vec![Vec::new(); names.len()];
        let mut waiting_for = vec![0; names.len()];
        for (before, after) in lists.iter().flat_map(|list| list.iter().zip(list.iter().skip(1))) {
            let (Ok(before), Ok(after)) = (names.binary_search(before), names.binary_search(after)) else { continue };
            if let Some(following) = successors.get_mut(before) {
                following.push(after);
            }
        }
        for following in &mut successors {
            following.sort_unstable();
            following.dedup();
            for after in following {
                if let Some(count) = waiting_for.get_mut(*after) {
                    *count += 1;
                }
            }
        }
        Self { names, successors, waiting_for }
    }

    /// Mirrors without remaining predecessors are taken in the order in which they became ready. The first mirror in
    /// byte order breaks a cycle.
    fn sorted(mut self) -> Vec<&'a str> {
        let mut free: VecDeque<usize> =
            (0..).zip(&self.waiting_for).filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
        let mut placed = vec![false; self.names.len()];
        let mut breakers = 0..self.names.len();
        let mut sorted = Vec::with_capacity(self.names.len());
        while let Some(node) = free.pop_front().or_else(|| breakers.next()) {
            let (Some(name), Some(is_placed)) = (self.names.get(node), placed.get_mut(node)) else { break };
            if std::mem::replace(is_placed, true) {
                continue;
            }
            sorted.push(*name);
            for after in self.successors.get(node).into_iter().flatten() {
                let Some(count) = self.waiting_for.get_mut(*after) else { continue };
                *count -= 1;
                if *count == 0 && placed.get(*after) == Some(&false) {
                    free.push_back(*after);
                }
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests;
