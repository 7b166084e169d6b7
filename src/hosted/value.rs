//! The desired value of one target, and the identification of the appended environment variable.

use std::collections::BTreeSet;

use super::entries::Entries;
use super::known::{EntrySet, Known};
use super::observed::{ObservedContainer, ObservedTarget};

/// The environment variables of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvView<'a> {
    /// The index of the appended one in [`ObservedContainer::env`].
    pub ours: Option<usize>,
    /// The stock value: the effective value without the appended one.
    pub stock: Option<&'a Entries>,
    /// The effective value: that of the last variable (kubelet).
    pub effective: Option<&'a Entries>,
}

/// Identifies the appended environment variable.
///
/// It is the one that equals the annotation. If the annotation was written before the variable, it is the last of several
/// variables that has only entries that are known or in the annotation.
pub fn env_view<'a>(target: &'a ObservedTarget, container: &'a ObservedContainer, known: &Known<'_>) -> EnvView<'a> {
    let env = &container.env;
    let ours = target.overrides.as_ref().and_then(|annotation| {
        let equal = env.iter().rposition(|entry| entry.value == *annotation);
        match (equal, env.len()) {
            (Some(0), 1) => (!target.stock_managed).then_some(0),
            (Some(place), _) if place > 0 => Some(place),
            (_, 2..) => {
                let last = env.len() - 1;
                let annotation = annotation.set();
                let explained = |entry: &str| known.contains(entry) || annotation.contains(entry);
                env.last().filter(|entry| entry.value.iter().all(explained)).map(|_| last)
            }
            _ => None,
        }
    });
    let mut others = env.iter().enumerate().filter(|(place, _)| Some(*place) != ours);
    EnvView {
        ours,
        stock: others.next_back().map(|(_, entry)| &entry.value),
        effective: env.last().map(|entry| &entry.value),
    }
}

/// The desired value of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedValue {
    /// The map, followed by the entries of the stock value that belong to other managers.
    pub value: Entries,
    /// The entries of other managers.
    pub foreign: Entries,
}

/// Computes the desired value of one target.
pub fn wanted_value(map: &Entries, stock: Option<&Entries>, known: &Known<'_>) -> WantedValue {
    let foreign = stock.map(|stock| known.foreign(stock)).unwrap_or_default();
    let value = if foreign.is_empty() { map.clone() } else { map.iter().chain(foreign.iter()).collect() };
    WantedValue { value, foreign }
}

/// Entries of stock values that are known and not desired, ascending.
pub fn retired<'v>(stock_values: impl IntoIterator<Item = &'v Entries>, known: &Known<'_>) -> Entries {
    let stale: BTreeSet<&str> = stock_values
        .into_iter()
        .flat_map(Entries::iter)
        .filter(|entry| known.contains(entry) && !known.wanted.contains(*entry))
        .collect();
    stale.into_iter().collect()
}

/// Whether a value, or its absence, has the same map as the desired one.
pub fn has_map(value: Option<&Entries>, wanted: &Entries) -> bool {
    value.map_or(wanted.is_empty(), |value| value.is_same_map(wanted))
}

/// The managed entries in the annotations of all targets.
///
/// All entries of `retired` are managed. `overrides` also has entries of other managers, which `foreign_of` returns. If they are
/// not known for the current value (`None`), all its entries count as foreign, so that no entry of another manager is dropped.
pub fn remembered<'a>(
    targets: impl IntoIterator<Item = &'a ObservedTarget>,
    foreign_of: impl Fn(&ObservedTarget) -> Option<Entries>,
) -> EntrySet {
    let mut remembered = EntrySet::new();
    for target in targets {
        remembered.extend(target.retired.iter().flat_map(Entries::iter).map(str::to_owned));
        let Some(overrides) = &target.overrides else { continue };
        let Some(foreign) = foreign_of(target) else { continue };
        let foreign = foreign.set();
        remembered.extend(overrides.iter().filter(|entry| !foreign.contains(entry)).map(str::to_owned));
    }
    remembered
}

#[cfg(test)]
mod tests;
