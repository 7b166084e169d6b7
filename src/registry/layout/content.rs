//! A part of a file: a blob in its own file, or one in an archive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::error::Trouble;

/// Enough that the change of threads for each piece costs nothing.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// A part of an open file. Readers have places of their own: many read one archive at once.
#[derive(Clone, Debug)]
pub(super) struct Content {
    file: Arc<File>,
    offset: u64,
    /// In bytes.
    pub(super) size: u64,
}

impl Content {
    pub(super) fn new(file: impl Into<Arc<File>>, offset: u64, size: u64) -> Self {
        Self { file: file.into(), offset, size }
    }

    /// Up to a piece of its bytes; empty at its end. Blocking.
    fn read(&self, at: u64) -> io::Result<Bytes> {
        let length = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut piece = BytesMut::zeroed(length);
        self.file.read_exact_at(&mut piece, self.offset + at)?;
        Ok(piece.freeze())
    }

    /// The same on a thread that may wait.
    pub(super) async fn piece(&self, at: u64) -> Result<Bytes, Trouble> {
        let content = self.clone();
        let read = tokio::task::spawn_blocking(move || content.read(at)).await.map_err(Trouble::invalid)?;
        read.map_err(|error| Trouble::io("its bytes", &error))
    }

    /// All bytes, of which there are at most `limit`. Blocking.
    pub(super) fn whole(&self, limit: usize) -> Result<Vec<u8>, Trouble> {
        if self.size > limit as u64 {
            return Err(Trouble::invalid(format!("it has more than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        loop {
            let piece = self.read(bytes.len() as u64).map_err(|error| Trouble::io("its bytes", &error))?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece);
        }
    }
}
