//! An image as it is copied.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;
use super::tree::Tree;

/// An image that is not yet at one destination.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) job: usize,
    pub(super) destination: usize,
    /// Number of its destination.
    pub(super) side: usize,
    pub(super) tag: String,
    /// Whether the tag names it already.
    pub(super) is_tagged: bool,
    pub(super) content: Arc<Content>,
}

/// An image with its attachments.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) digest: Digest,
    /// Attachments first: who sees the image finds its signature.
    pub(super) trees: Vec<Tree>,
}

impl Content {
    /// Its blobs, each once.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        self.trees.iter().flat_map(Tree::blobs).filter(move |blob| seen.insert(&blob.digest))
    }
}
