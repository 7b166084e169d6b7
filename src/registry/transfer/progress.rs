//! What a copy tells while it goes on.

use super::super::wire::digest::Digest;
use super::plan::Totals;
use super::{Outcome, Side};

/// How a blob got to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Its bytes were sent.
    Uploaded,
    /// The registry had it in another repository.
    Mounted,
    /// It failed.
    Failed,
}

/// Is told what happens, from several tasks at once. Everything may be left out.
pub trait CopyProgress: Send + Sync {
    /// So many images of all are looked at.
    fn surveyed(&self, _done: usize, _all: usize) {}
    /// What there is to do.
    fn planned(&self, _totals: &Totals) {}
    /// A blob is on its way to a destination.
    fn blob_begun(&self, _to: &Side, _digest: &Digest, _size: u64) {}
    /// So many bytes more of it were sent. After an interruption some are sent again.
    fn blob_bytes(&self, _to: &Side, _digest: &Digest, _bytes: u64) {}
    /// A blob is there, or failed.
    fn blob_ended(&self, _to: &Side, _digest: &Digest, _arrival: Arrival) {}
    /// An image is there, was there, or failed.
    fn image_ended(&self, _outcome: &Outcome) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl CopyProgress for Silent {}
