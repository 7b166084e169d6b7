//! Holds sources of the sets in a guest cluster whose mirrors are not proven.

use std::collections::BTreeSet;

use super::held::HeldSource;
use super::proofs::{Decides, Lacks, Proofs};
use super::subject::has_no_fallback;
use crate::mirrors::{MirrorEntry, Policy, PullBy};

/// The declared mirrors of a set.
#[derive(Clone, Copy, Debug)]
pub struct NodeSet<'a> {
    /// The NodePool. `None` is the set of the hosted cluster, which all nodes use.
    pub pool: Option<&'a str>,
    /// Its entries.
    pub entries: &'a [MirrorEntry],
}

/// A source of a set that is not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// The NodePool of the set; see [`NodeSet::pool`].
    pub pool: Option<String>,
    /// The source.
    pub source: String,
    /// Why it is not proven.
    pub lacks: Lacks,
}

impl Unproven {
    /// What is held: the entries of this source in a set, and the live ones that stay in use.
    pub fn held(&self, entries: &[MirrorEntry], live: &[MirrorEntry]) -> HeldSource {
        HeldSource {
            source: self.source.clone(),
            mirrors: locations(entries, &self.source),
            live: locations(live, &self.source),
            pool: self.pool.clone(),
            why: self.lacks.clone().own(),
        }
    }
}

/// The sources that may not be contacted and are not proven, by set. A policy in one set applies to the mirrors of a source in all
/// sets of a node.
pub fn unproven(proofs: &Proofs<'_>, sets: &[NodeSet<'_>]) -> Vec<Unproven> {
    let gated = |pool: Option<&str>| -> BTreeSet<&str> {
        let is_shared = |set: &&NodeSet<'_>| pool.is_none() || set.pool.is_none() || set.pool == pool;
        let entries = sets.iter().filter(is_shared).flat_map(|set| set.entries);
        entries.filter(|entry| has_no_fallback(entry)).map(|entry| entry.source.as_str()).collect()
    };
    let mut found = Vec::new();
    for NodeSet { pool, entries } in sets {
        let declared: BTreeSet<&str> = entries.iter().map(|entry| entry.source.as_str()).collect();
        let decides = pool.map_or(Decides::AllNodes, Decides::NodesOf);
        for source in gated(*pool).intersection(&declared) {
            if let Some(lacks) = proofs.lacks(source, decides) {
                found.push(Unproven { pool: pool.map(str::to_owned), source: (*source).to_owned(), lacks });
            }
        }
    }
    found
}

/// Replaces the unproven sources of one set by its live entries. Returns what is held. Live entries take the places of the declared
/// ones, so that a set that is live as a whole is not written.
pub fn keep_live(entries: &mut Vec<MirrorEntry>, live: &[MirrorEntry], unproven: &[&Unproven]) -> Vec<HeldSource> {
    let mut held = Vec::new();
    for unproven in unproven {
        let source = &unproven.source;
        if facts_of(entries, source) == facts_of(live, source) {
            continue;
        }
        held.push(unproven.held(entries, live));
        for pull_by in [PullBy::Digest, PullBy::Tag] {
            let is_meant = |entry: &MirrorEntry| entry.source == *source && entry.pull_by == pull_by;
            let kept: Vec<MirrorEntry> = live.iter().filter(|entry| is_meant(entry)).cloned().collect();
            let place = entries.iter().position(is_meant).unwrap_or(entries.len());
            entries.retain(|entry| !is_meant(entry));
            entries.splice(place..place, kept);
        }
    }
    held
}

/// What an entry means to a node, whatever object declares it.
type NodeFacts<'e> = (PullBy, &'e [String], Policy);

fn facts_of<'e>(entries: &'e [MirrorEntry], source: &str) -> Vec<NodeFacts<'e>> {
    let of_source = entries.iter().filter(|entry| entry.source == source);
    let mut facts: Vec<NodeFacts<'e>> =
        of_source.map(|entry| (entry.pull_by, entry.mirrors.as_slice(), entry.policy())).collect();
    facts.sort_unstable();
    facts
}

fn locations(entries: &[MirrorEntry], source: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mirrors = entries.iter().filter(|entry| entry.source == source).flat_map(|entry| &entry.mirrors);
    mirrors.filter(|mirror| seen.insert(*mirror)).cloned().collect()
}

#[cfg(test)]
mod tests;
