//! What one target should carry, and which of its env vars is ours.

use std::collections::{BTreeSet, HashSet};

use super::known::{EntrySet, Known, entries};
use super::observed::{ObservedContainer, ObservedTarget};
use crate::mirrors::overrides;

/// The value that stands for an empty map.
pub const EMPTY: &str = "=";

/// One target's env vars, told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvView<'a> {
    /// Ours, as a place in [`ObservedContainer::env`].
    pub ours: Option<usize>,
    /// What the process would read without ours; none if there is no other.
    pub stock: Option<&'a str>,
    /// What the process reads: the last one counts (kubelet).
    pub effective: Option<&'a str>,
}

/// Tells our env var from the stock one.
///
/// Ours is the one that equals the annotation. Where the annotation was written ahead of the env var, ours is the last of
/// several that says nothing but what is known or stands in the annotation: then it is ours, or as good as ours.
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

/// What one target's env var should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedValue {
    /// Our map, then the entries of the stock value that are somebody else's.
    pub value: String,
    /// Those entries alone, as a value; empty if there are none.
    pub foreign: String,
}

/// Composes the whole truth for one target.
pub fn wanted_value(map_env: &str, stock: Option<&str>, known: &Known<'_>) -> WantedValue {
    let foreign = known.foreign(stock.unwrap_or_default()).join(",");
    let value = match (entries(map_env).next().is_some(), foreign.is_empty()) {
        (_, true) => map_env.to_owned(),
        (true, false) => format!("{map_env},{foreign}"),
        (false, false) => foreign.clone(),
    };
    WantedValue { value, foreign }
}

/// Entries of any stock value that are known and not wanted, ascending; empty if there are none.
pub fn retired<'v>(stock_values: impl IntoIterator<Item = &'v str>, known: &Known<'_>) -> String {
    let stale: BTreeSet<&str> = stock_values
        .into_iter()
        .flat_map(entries)
        .filter(|entry| known.contains(entry) && !known.wanted.contains(*entry))
        .collect();
    stale.into_iter().collect::<Vec<_>>().join(",")
}

/// Whether a value, or its absence, says what is wanted: the ordered mirrors of each source.
pub fn says(value: Option<&str>, wanted: &str) -> bool {
    let value = value.unwrap_or(EMPTY);
    value == wanted || overrides::same_meaning(value, wanted)
}

/// The entries of the annotations of all targets, as far as they are ours.
///
/// `retired` is ours by definition. `overrides` holds foreign entries too; `foreign_of` answers which ones, and `None`
/// where that is not known for this very value: then none of it is taken for ours, so that nothing of somebody else's is
/// ever dropped.
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
