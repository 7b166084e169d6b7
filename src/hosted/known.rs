//! Whose an entry of a stock value is: ours, or somebody else's.

use std::collections::HashSet;

/// A set of `source=mirror` texts.
pub type EntrySet = HashSet<String>;

/// The entries of an override value as `source=mirror` texts, in order; what upstream's parser skips is skipped
/// (HyperShift, `ConvertImageRegistryOverrideStringToMap`).
pub fn entries(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .filter(|entry| entry.split_once('=').is_some_and(|(source, mirror)| !source.is_empty() && !mirror.is_empty()))
}

/// What is known of one hosted cluster's entries.
///
/// An entry is *known* if the management layer or the cluster's own map explains it, now or at some time before. A known
/// entry that is not wanted is left out; any other entry of a stock value is somebody else's and is kept.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The entries that the management layer explains, wanted here or not.
    pub management: &'a EntrySet,
    /// The entries of the map that is wanted.
    pub wanted: &'a EntrySet,
    /// Entries that left the map while this process ran.
    pub departed: &'a EntrySet,
    /// Entries that an annotation or a report of ours remembers.
    pub remembered: &'a EntrySet,
}

impl Known<'_> {
    /// Whether the entry is hypermirror's to keep or to drop.
    pub fn contains(&self, entry: &str) -> bool {
        self.wanted.contains(entry)
            || self.management.contains(entry)
            || self.remembered.contains(entry)
            || self.departed.contains(entry)
    }

    /// The entries of a stock value that are somebody else's, in their order, each once.
    pub fn foreign<'v>(&self, stock: &'v str) -> Vec<&'v str> {
        let mut seen = HashSet::new();
        entries(stock).filter(|entry| !self.contains(entry) && seen.insert(*entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> EntrySet {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn entries_skip_what_upstream_skips() {
        for (value, expected) in [
            ("", vec![]),
            ("=", vec![]),
            ("foo", vec![]),
            (",,", vec![]),
            ("=,a=b", vec!["a=b"]),
            ("a=b, c=d", vec!["a=b", " c=d"]),
            ("a=b=c", vec!["a=b=c"]),
            ("a=,=b", vec![]),
            ("a=b,a=b", vec!["a=b", "a=b"]),
        ] {
            assert_eq!(entries(value).collect::<Vec<_>>(), expected, "{value:?}");
        }
    }

    #[test]
    fn only_what_nothing_explains_is_foreign() {
        let known = Known {
            management: &set(&["a=m"]),
            wanted: &set(&["b=m"]),
            departed: &set(&["c=m"]),
            remembered: &set(&["d=m"]),
        };
        assert_eq!(known.foreign("=,a=m,b=m,z=1,c=m,d=m,z=1,y=2"), ["z=1", "y=2"]);
    }
}
