//! Distinguishes entries of a stock value that hypermirror manages from those of other managers.

use std::collections::HashSet;

use super::entries::Entries;

/// A set of `source=mirror` texts.
pub type EntrySet = HashSet<String>;

/// The known entries of one hosted cluster.
///
/// An entry is *known* if it is or was in the management layer or in the cluster's own map. Known entries that are no longer
/// desired are dropped. All other entries of a stock value belong to another manager and are preserved.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The entries of the management layer, even if the hosted cluster has opted out.
    pub management: &'a EntrySet,
    /// The entries of the desired map.
    pub wanted: &'a EntrySet,
    /// Entries that were removed from the map while this process ran.
    pub removed: &'a EntrySet,
    /// Entries that are recorded in an annotation or a report.
    pub remembered: &'a EntrySet,
}

impl Known<'_> {
    /// Whether hypermirror manages the entry.
    pub fn contains(&self, entry: &str) -> bool {
        self.wanted.contains(entry)
            || self.management.contains(entry)
            || self.remembered.contains(entry)
            || self.removed.contains(entry)
    }

    /// The entries of a stock value that belong to other managers, in order, without duplicates.
    pub fn foreign(&self, stock: &Entries) -> Entries {
        let mut seen = HashSet::new();
        stock.iter().filter(|entry| !self.contains(entry) && seen.insert(*entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> EntrySet {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn only_unknown_entries_are_foreign() {
        let known = Known {
            management: &set(&["a=m"]),
            wanted: &set(&["b=m"]),
            removed: &set(&["c=m"]),
            remembered: &set(&["d=m"]),
        };
        assert_eq!(known.foreign(&"=,a=m,b=m,z=1,c=m,d=m,z=1,y=2".into()).as_str(), "z=1,y=2");
    }
}
