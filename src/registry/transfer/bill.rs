//! What a copy costs, estimated from what a survey found. Pure.

use std::collections::{BTreeMap, HashSet};

use super::super::client::offer::SMALL;
use super::super::quirks::{Quirks, UploadForm};
use super::super::requests::Requests;
use super::super::wire::digest::Algorithm;
use super::image::Image;
use super::plan::Step;
use super::side::Side;
use super::survey::Survey;
use super::tree::{Role, Tree};

/// What one registry has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Requests, without those for tokens and those that are sent again.
    pub requests: Requests,
    /// Bytes of blobs that are read from it.
    pub read_bytes: u64,
    /// Bytes of blobs that are sent to it.
    pub sent_bytes: u64,
}

/// What a copy costs after its survey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// By the address of the registry. Layouts cost no requests.
    pub registries: BTreeMap<String, Charge>,
    /// Bytes of all blobs of the images to copy, at each destination once.
    pub total_bytes: u64,
}

impl Bill {
    fn charge(&mut self, side: Option<&Side>, change: impl FnOnce(&mut Charge)) {
        if let Some(side @ Side::Registry(_)) = side {
            change(self.registries.entry(side.key().store).or_default());
        }
    }
}

impl Survey {
    /// What is still to be done.
    ///
    /// Not in it: requests for tokens, retries, uploads in more parts than the registry is known to want, mounts that are
    /// refused, small blobs that it does not take with the first request, and lists of referrers at registries that do not keep them.
    pub fn bill(&self) -> Bill {
        let mut bill = Bill::default();
        let mut counted = HashSet::new();
        for image in &self.images {
            let Some(store) = self.sides.get(image.side).map(|side| side.key().store) else { continue };
            for blob in image.content.blobs() {
                if counted.insert((store.clone(), &blob.digest)) {
                    bill.total_bytes = bill.total_bytes.saturating_add(blob.size);
                }
            }
        }
        for transfer in &self.plan.transfers {
            let size = transfer.blob.size;
            if transfer.steps.iter().any(|step| step.from.is_empty()) {
                let source = self.sources.get(&transfer.blob.digest).and_then(|candidates| candidates.first());
                bill.charge(source, |charge| {
                    charge.requests.blob_reads += 1;
                    charge.read_bytes = charge.read_bytes.saturating_add(size);
                });
            }
            for step in &transfer.steps {
                let side = self.sides.get(step.first);
                bill.charge(side, |charge| {
                    charge.requests.blob_writes += blob_writes(step, side, size);
                    charge.sent_bytes = charge.sent_bytes.saturating_add(if step.from.is_empty() { size } else { 0 });
                });
            }
        }
        let (mut written, mut confirmed) = (HashSet::new(), HashSet::new());
        for image in &self.images {
            bill.charge(self.sides.get(image.side), |charge| {
                for tree in &image.content.trees {
                    let is_new = |digest| written.insert((image.side, digest));
                    charge.requests.manifest_writes += manifest_writes(tree, is_new);
                }
                charge.requests.lookups += 1 + self.confirmations(image, &mut confirmed);
            });
        }
        bill
    }

    /// Blobs that are looked for again, because they were only found.
    fn confirmations<'a>(&'a self, image: &'a Image, confirmed: &mut HashSet<(usize, &'a super::Digest)>) -> u64 {
        let own = image.content.trees.iter().filter(|tree| tree.role == Role::Image).flat_map(Tree::blobs);
        let found = own.filter(|blob| self.found.contains(&(image.side, blob.digest.clone())));
        let new = found.filter(|blob| confirmed.insert((image.side, &blob.digest)));
        new.count() as u64
    }
}

/// A mount is one request, and so is a small blob; another one is an upload that is begun, and sent in as many parts as the registry
/// wants.
fn blob_writes(step: &Step, side: Option<&Side>, size: u64) -> u64 {
    let form = match side {
        Some(Side::Registry(side)) => Quirks::of(&side.repository().registry).uploads,
        _ => UploadForm::Whole,
    };
    let sent = match form {
        _ if (1..=SMALL).contains(&size) => 1,
        UploadForm::Whole => 2,
        UploadForm::OnePatch => 3,
        UploadForm::Chunks(chunk) => 2 + size.div_ceil(chunk.max(1)),
    };
    let first = if step.from.is_empty() { sent } else { 1 };
    first + step.then.len() as u64
}

/// Children are written once for all images that have them, the root for each.
fn manifest_writes<'a>(tree: &'a Tree, mut is_new: impl FnMut(&'a super::Digest) -> bool) -> u64 {
    let Some((root, children)) = tree.manifests.split_last() else { return 0 };
    let children = children.iter().filter(|child| is_new(&child.digest)).count() as u64;
    // Under its digest, too, before a tag that is kept by another algorithm names it.
    let again = tree.role == Role::Image && root.digest.algorithm() != Algorithm::Sha256;
    children + 1 + u64::from(again)
}
