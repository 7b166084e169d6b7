//! An open source across the chunks of one upload.

use bytes::Bytes;
use futures::stream::StreamExt as _;

use super::super::super::error::RegistryError;
use super::super::super::transport::Pieces;

/// What is read, and how far.
pub(super) struct Feed {
    pieces: Pieces,
    /// What was read and belongs to the next chunk.
    rest: Bytes,
    at: u64,
}

impl Feed {
    /// From `at` on.
    pub(super) const fn new(pieces: Pieces, at: u64) -> Self {
        Self { pieces, rest: Bytes::new(), at }
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next piece, of at most so many bytes.
    pub(super) async fn take(&mut self, most: u64) -> Option<Result<Bytes, RegistryError>> {
        if self.rest.is_empty() {
            match self.pieces.next().await? {
                Ok(piece) => self.rest = piece,
                Err(error) => return Some(Err(error)),
            }
        }
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len());
        let piece = self.rest.split_to(length);
        self.at += length as u64;
        Some(Ok(piece))
    }
}
