//! Entries of somebody else's that come or go with a write of a stock operator, in the value that we append to it.
//!
//! The hypershift operator's own `--registry-overrides` reaches a child in both forms, its argument and its env var, while
//! mirrors of the management cluster reach it in the env var alone (`ConvertRegistryOverridesToCommandLineFlag` and its
//! callers): an entry in both is somebody else's, without anything else being known.

use std::collections::HashSet;

use super::super::known::entries;
use super::super::observed::ObservedContainer;
use super::super::sources::fits;
use super::super::value::EMPTY;

/// The two forms in which a stock operator names mirrors to one container.
struct Stock<'a> {
    env: HashSet<&'a str>,
    argument: HashSet<&'a str>,
}

impl<'a> Stock<'a> {
    /// `ours`: the value of our own argument.
    fn of(container: &'a ObservedContainer, ours: Option<&str>) -> Self {
        let arguments = container.arguments.iter().filter(|argument| Some(&*argument.value) != ours);
        Self {
            env: container.env.first().map(|stock| entries(&stock.value).collect()).unwrap_or_default(),
            argument: arguments.flat_map(|argument| entries(&argument.value)).collect(),
        }
    }

    /// Whether the entry is somebody else's and named here.
    fn has_foreign(&self, entry: &str) -> bool {
        self.env.contains(entry) && self.argument.contains(entry)
    }

    /// Whether the entry is named here at all.
    fn has(&self, entry: &str) -> bool {
        self.env.contains(entry) || self.argument.contains(entry)
    }
}

/// The remembered value with the entries that came and without those that went; none if nothing came or went, or the result
/// is too long.
pub fn carried(
    remembered: &str,
    argument: Option<&str>,
    before: &ObservedContainer,
    after: &ObservedContainer,
) -> Option<String> {
    let (was, is) = (Stock::of(before, argument), Stock::of(after, argument));
    let known: HashSet<&str> = entries(remembered).collect();
    let stock = after.env.first().map(|stock| &*stock.value).unwrap_or_default();
    let came: Vec<&str> =
        entries(stock).filter(|entry| is.has_foreign(entry) && !was.has(entry) && !known.contains(entry)).collect();
    let went = |entry: &&str| was.has_foreign(entry) && !is.has(entry);
    if came.is_empty() && !entries(remembered).any(|entry| went(&entry)) {
        return None;
    }
    let kept = entries(remembered).filter(|entry| !went(entry));
    let value = kept.chain(came).collect::<Vec<_>>().join(",");
    let value = if value.is_empty() { EMPTY.to_owned() } else { value };
    fits(&value).then_some(value)
}
