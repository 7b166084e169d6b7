//! Updates the appended value for entries of other managers that a write of a stock operator adds or removes.
//!
//! The hypershift operator's own `--registry-overrides` are passed to a child both in its argument and in its environment
//! variable, while mirrors of the management cluster are only in the environment variable
//! (`ConvertRegistryOverridesToCommandLineFlag` and its callers). An entry in both therefore belongs to another manager.

use std::collections::HashSet;

use super::super::entries::Entries;
use super::super::observed::ObservedContainer;
use super::super::sources::fits;
use crate::mirrors::overrides::EMPTY;

/// The mirrors of a stock operator in one container, in both formats.
struct Stock<'a> {
    env: HashSet<&'a str>,
    argument: HashSet<&'a str>,
}

impl<'a> Stock<'a> {
    /// `ours` is the value of the appended argument.
    fn of(container: &'a ObservedContainer, ours: Option<&Entries>) -> Self {
        let arguments = container.arguments.iter().filter(|argument| Some(&argument.value) != ours);
        Self {
            env: container.env.first().map(|stock| stock.value.set()).unwrap_or_default(),
            argument: arguments.flat_map(|argument| argument.value.iter()).collect(),
        }
    }

    /// Whether this has the entry and it belongs to another manager.
    fn has_foreign(&self, entry: &str) -> bool {
        self.env.contains(entry) && self.argument.contains(entry)
    }

    /// Whether this has the entry.
    fn has(&self, entry: &str) -> bool {
        self.env.contains(entry) || self.argument.contains(entry)
    }
}

/// The recorded value with added entries and without removed ones. `None` if there is no change, or if the result is too long.
pub fn carried(
    remembered: &Entries,
    argument: Option<&Entries>,
    before: &ObservedContainer,
    after: &ObservedContainer,
) -> Option<Entries> {
    let (was, is) = (Stock::of(before, argument), Stock::of(after, argument));
    let known = remembered.set();
    let stock = after.env.first().into_iter().flat_map(|stock| stock.value.iter());
    let added: Vec<&str> =
        stock.filter(|entry| is.has_foreign(entry) && !was.has(entry) && !known.contains(entry)).collect();
    let is_removed = |entry: &&str| was.has_foreign(entry) && !is.has(entry);
    if added.is_empty() && !remembered.iter().any(|entry| is_removed(&entry)) {
        return None;
    }
    let value: Entries = remembered.iter().filter(|entry| !is_removed(entry)).chain(added).collect();
    let value = if value.is_empty() { EMPTY.into() } else { value };
    fits(&value).then_some(value)
}
