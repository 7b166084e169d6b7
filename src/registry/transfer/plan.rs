//! What moves, and in which order: a set difference, and then the least work. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;
use super::side::SideKey;

/// What is known of sources and destinations. Sides are numbered, by their place in `sides`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// All of them.
    pub sides: Vec<SideKey>,
    /// Blobs that images at a destination need and it does not hold; one for each image.
    pub lacks: Vec<Lack>,
    /// Which sides are known to hold which blobs.
    pub holds: BTreeSet<(Digest, usize)>,
}

/// A blob that an image needs at a destination.
#[derive(Clone, Debug)]
pub struct Lack {
    /// The blob.
    pub blob: Descriptor,
    /// The destination.
    pub side: usize,
}

/// Everything that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which it begins.
    pub transfers: Vec<Transfer>,
}

/// A blob, and where it goes. It is read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The blob.
    pub blob: Descriptor,
    /// How many images wait for it.
    pub images: usize,
    /// One for each registry or layout.
    pub steps: Vec<Step>,
}

/// How a blob gets into one registry or layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it is written first.
    pub first: usize,
    /// Repositories of the same registry that hold it: then it is mounted and not sent.
    pub from: Vec<String>,
    /// Where it is mounted afterwards.
    pub then: Vec<usize>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blobs that are sent, and their bytes, counted for each registry that gets them.
    pub uploads: usize,
    /// See `uploads`.
    pub upload_bytes: u64,
    /// Bytes that are read from sources.
    pub read_bytes: u64,
    /// Blobs that are mounted.
    pub mounts: usize,
    /// Images that are not there yet, counted for each destination.
    pub images: usize,
    /// Images that are there.
    pub unchanged: usize,
}

impl Plan {
    /// What is to be done. The order of the facts does not matter.
    pub fn new(facts: &Facts) -> Self {
        let mut wanted: BTreeMap<&Digest, (&Descriptor, BTreeMap<usize, usize>)> = BTreeMap::new();
        for lack in &facts.lacks {
            let (_, at) = wanted.entry(&lack.blob.digest).or_insert_with(|| (&lack.blob, BTreeMap::new()));
            *at.entry(lack.side).or_default() += 1;
        }
        let mut transfers: Vec<Transfer> = wanted.into_values().map(|(blob, at)| transfer(facts, blob, &at)).collect();
        // Mounts cost nothing. Then what most images wait for; of those the largest, because the last one decides the end.
        transfers.sort_by(|a, b| {
            let key = |it: &Transfer| (it.is_sent(), usize::MAX - it.images, u64::MAX - it.blob.size);
            key(a).cmp(&key(b)).then_with(|| a.blob.digest.cmp(&b.blob.digest))
        });
        Self { transfers }
    }

    /// How much that is.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for transfer in &self.transfers {
            let sent = transfer.steps.iter().filter(|step| step.from.is_empty()).count();
            let size = transfer.blob.size;
            totals.uploads += sent;
            totals.upload_bytes = totals.upload_bytes.saturating_add(size.saturating_mul(sent as u64));
            totals.read_bytes = totals.read_bytes.saturating_add(if sent > 0 { size } else { 0 });
            totals.mounts += transfer.steps.len() - sent;
            totals.mounts += transfer.steps.iter().map(|step| step.then.len()).sum::<usize>();
        }
        totals
    }
}

impl Transfer {
    fn is_sent(&self) -> bool {
        self.steps.iter().any(|step| step.from.is_empty())
    }
}

fn transfer(facts: &Facts, blob: &Descriptor, at: &BTreeMap<usize, usize>) -> Transfer {
    let mut stores: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for side in at.keys() {
        if let Some(key) = facts.sides.get(*side) {
            stores.entry(&key.store).or_default().push(*side);
        }
    }
    let steps = stores.into_iter().filter_map(|(store, sides)| step(facts, blob, store, &sides)).collect();
    Transfer { blob: blob.clone(), images: at.values().sum(), steps }
}

fn step(facts: &Facts, blob: &Descriptor, store: &str, sides: &[usize]) -> Option<Step> {
    let (first, then) = sides.split_first()?;
    let all = (blob.digest.clone(), 0)..=(blob.digest.clone(), usize::MAX);
    let holders = facts.holds.range(all).filter_map(|(_, side)| facts.sides.get(*side));
    // A layout has no repositories: what it holds it does not lack.
    let from = holders.filter(|key| key.store == store && !key.repository.is_empty());
    let from: BTreeSet<&String> = from.map(|key| &key.repository).collect();
    Some(Step { first: *first, from: from.into_iter().cloned().collect(), then: then.to_vec() })
}

#[cfg(test)]
mod tests;
