//! Merges the entries of a layer into a map, and combines the maps of two layers.
//!
//! Rules within a layer: `openshift/runtime-utils`, `pkg/registries/registries.go` (`addMirrorSet`, `mergedMirrors`),
//! with the two deviations of [`super::topo`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::topo::merged_mirrors;
use super::{Mirror, MirrorEntry, PullBy, Resolved, ResolvedSource};

/// Merges the entries of one layer. Their order does not matter.
///
/// Digest and tag mirrors are merged separately. An entry whose only mirror is its source is ignored, including its
/// policy. NeverContactSource in one entry applies to the source for pulls by digest and by tag. The entries must be valid; see
/// [`super::validate`].
pub fn merge_layer<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> Resolved {
    let mut by_source: BTreeMap<&str, Vec<&MirrorEntry>> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| has_real_mirror(entry)) {
        by_source.entry(&entry.source).or_default().push(entry);
    }
    let sources = by_source.into_iter().map(|(source, entries)| (source.to_owned(), merge_source(source, &entries)));
    Resolved { sources: sources.collect() }
}

/// Whether an entry has any effect (`mirrorsContainsARealMirror`).
pub(super) fn has_real_mirror(entry: &MirrorEntry) -> bool {
    !entry.source.is_empty() && entry.mirrors.iter().any(|mirror| !mirror.is_empty() && *mirror != entry.source)
}

fn merge_source(source: &str, entries: &[&MirrorEntry]) -> ResolvedSource {
    let origins: BTreeSet<_> = entries.iter().map(|entry| &entry.origin).collect();
    ResolvedSource {
        digest_mirrors: merge_mirrors(source, entries, PullBy::Digest),
        tag_mirrors: merge_mirrors(source, entries, PullBy::Tag),
        policy: entries.iter().map(|entry| entry.policy()).max().unwrap_or_default(),
        origins: origins.into_iter().cloned().collect(),
    }
}

fn merge_mirrors(source: &str, entries: &[&MirrorEntry], pull_by: PullBy) -> Vec<Mirror> {
    let entries = || entries.iter().filter(|entry| entry.pull_by == pull_by);
    let lists: Vec<Vec<&str>> = entries()
        .map(|entry| entry.mirrors.iter().map(String::as_str).filter(|mirror| !mirror.is_empty()).collect())
        .collect();
    let mut named_by: HashMap<&str, Mirror> = HashMap::new();
    for (entry, list) in entries().zip(&lists) {
        for location in list {
            let mirror = named_by.entry(location).or_default();
            mirror.insecure |= entry.insecure;
            mirror.origins.push(entry.origin.clone());
        }
    }
    let merged = merged_mirrors(source, &lists).into_iter().map(|location| {
        let mut mirror = named_by.remove(location).unwrap_or_default();
        location.clone_into(&mut mirror.location);
        mirror.origins.sort_unstable();
        mirror.origins.dedup();
        mirror
    });
    merged.collect()
}

/// Combines a more specific layer with a broader one. For each source, the mirrors of the specific layer come first,
/// followed by the mirrors of the broader layer that are not in the list yet. NeverContactSource in either layer
/// applies. The result has the origins of both.
#[must_use]
pub fn overlay(broader: &Resolved, specific: &Resolved) -> Resolved {
    let mut sources = broader.sources.clone();
    for (name, over) in &specific.sources {
        let source = match sources.remove(name) {
            Some(under) => overlay_source(name, under, over),
            None => over.clone(),
        };
        sources.insert(name.clone(), source);
    }
    Resolved { sources }
}

fn overlay_source(name: &str, under: ResolvedSource, over: &ResolvedSource) -> ResolvedSource {
    let origins: BTreeSet<_> = under.origins.into_iter().chain(over.origins.iter().cloned()).collect();
    ResolvedSource {
        digest_mirrors: overlay_mirrors(name, under.digest_mirrors, &over.digest_mirrors),
        tag_mirrors: overlay_mirrors(name, under.tag_mirrors, &over.tag_mirrors),
        policy: under.policy.max(over.policy),
        origins: origins.into_iter().collect(),
    }
}

fn overlay_mirrors(source: &str, under: Vec<Mirror>, over: &[Mirror]) -> Vec<Mirror> {
    let mut mirrors = over.to_vec();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, mirror) in over.iter().enumerate() {
        places.insert(mirror.location.clone(), place);
    }
    for mirror in under {
        match places.get(&mirror.location).and_then(|place| mirrors.get_mut(*place)) {
            Some(known) => {
                known.insecure |= mirror.insecure;
                known.origins.extend(mirror.origins);
                known.origins.sort_unstable();
                known.origins.dedup();
            }
            None => mirrors.push(mirror),
        }
    }
    // The source is implicitly last. It is redundant at the end if all mirrors that followed it have moved before it.
    if mirrors.last().is_some_and(|mirror| mirror.location == source) {
        mirrors.pop();
    }
    mirrors
}

#[cfg(test)]
mod tests;
