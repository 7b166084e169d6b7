//! The desired value of one target, and the identification of the appended environment variable.

use std::collections::{BTreeSet, HashSet};

use super::known::{EntrySet, Known, entries};
use super::observed::{ObservedContainer, ObservedTarget};
use crate::mirrors::overrides;

/// The value for an empty map.
pub const EMPTY: &str = "=";

/// The environment variables of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvView<'a> {
    /// The index of the appended one in [`ObservedContainer::env`].
    pub ours: Option<usize>,
    /// The stock value: the effective value without the appended one.
    pub stock: Option<&'a str>,
    /// The effective value: that of the last variable (kubelet).
    pub effective: Option<&'a str>,
}

/// Identifies the appended environment variable.
///
/// It is the one that equals the annotation. If the annotation was written before the variable, it is the last of several
/// variables that has only entries that are known or in the annotation.
pub fn env_view<'a>(target: &'a ObservedTarget, container: &'a ObservedContainer, known: &Known<'_>) -> EnvView<'a> {
    let env = &container.env;
    let ours = target.overrides.as_deref().and_then(|annotation| {
        let equal = env.iter().rposition(|entry| &*entry.value == annotation);
        match (equal, env.len()) {
            (Some(0), 1) => (!target.stock_managed).then_some(0),
            (Some(place), _) if place > 0 => Some(place),
            (_, 2..) => {
                let last = env.len() - 1;
                let annotation: HashSet<&str> = entries(annotation).collect();
                let explained = |entry: &str| known.contains(entry) || annotation.contains(entry);
                env.last().filter(|entry| entries(&entry.value).all(explained)).map(|_| last)
            }
            _ => None,
        }
    });
    let mut others = env.iter().enumerate().filter(|(place, _)| Some(*place) != ours);
    EnvView {
        ours,
        stock: others.next_back().map(|(_, entry)| &*entry.value),
        effective: env.last().map(|entry| &*entry.value),
    }
}

/// The desired value of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedValue {
    /// The map, followed by the entries of the stock value that belong to other managers.
    pub value: String,
    /// The entries of other managers, as a value. Empty if there are none.
    pub foreign: String,
}

/// Computes the desired value of one target.
pub fn wanted_value(map_env: &str, stock: Option<&str>, known: &Known<'_>) -> WantedValue {
    let foreign = known.foreign(stock.unwrap_or_default()).join(",");
    let value = match (entries(map_env).next().is_some(), foreign.is_empty()) {
        (_, true) => map_env.to_owned(),
        (true, false) => format!("{map_env},{foreign}"),
        (false, false) => foreign.clone(),
    };
    WantedValue { value, foreign }
}

/// Entries of stock values that are known and not desired, ascending. Empty if there are none.
pub fn retired<'v>(stock_values: impl IntoIterator<Item = &'v str>, known: &Known<'_>) -> String {
    let stale: BTreeSet<&str> = stock_values
        .into_iter()
        .flat_map(entries)
        .filter(|entry| known.contains(entry) && !known.wanted.contains(*entry))
        .collect();
    stale.into_iter().collect::<Vec<_>>().join(",")
}

/// Whether a value, or its absence, is equivalent to the desired one.
pub fn says(value: Option<&str>, wanted: &str) -> bool {
    let value = value.unwrap_or(EMPTY);
    value == wanted || overrides::same_meaning(value, wanted)
}

/// The managed entries in the annotations of all targets.
///
/// All entries of `retired` are managed. `overrides` also has entries of other managers, which `foreign_of` returns. If they are
/// not known for the current value (`None`), all its entries count as foreign, so that no entry of another manager is dropped.
pub fn remembered<'a>(
    targets: impl IntoIterator<Item = &'a ObservedTarget>,
    foreign_of: impl Fn(&ObservedTarget) -> Option<String>,
) -> EntrySet {
    let mut remembered = EntrySet::new();
    for target in targets {
        remembered.extend(entries(target.retired.as_deref().unwrap_or_default()).map(str::to_owned));
        let Some(overrides) = target.overrides.as_deref() else { continue };
        let Some(foreign) = foreign_of(target) else { continue };
        let foreign: BTreeSet<&str> = entries(&foreign).collect();
        remembered.extend(entries(overrides).filter(|entry| !foreign.contains(entry)).map(str::to_owned));
    }
    remembered
}

#[cfg(test)]
mod tests;
