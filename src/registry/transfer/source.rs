//! A blob as it is read: from whoever has it, on from where it broke off, and checked as it passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};

use super::super::client::BlobSource;
use super::super::error::{Cause, Failure, RegistryError};
use super::super::name::Reference;
use super::super::transport::Pieces;
use super::super::wire::digest::{Digest, Hasher};
use super::super::wire::manifest::Descriptor;
use super::side::Side;

/// How far apart the places are from which a blob can be read again without hashing it from its beginning.
const MARK_DISTANCE: u64 = 8 * 1024 * 1024;
/// How often reading may break off without a byte more.
const MAX_BREAKS: u32 = 4;

/// A blob, and those who may have it.
#[derive(Clone)]
pub(super) struct SourceBlob {
    blob: Descriptor,
    candidates: Arc<[Side]>,
    marks: Arc<Mutex<Marks>>,
}

struct Marks {
    /// The hash of everything before some places, in order.
    hashes: Vec<(u64, Hasher)>,
    /// Candidates that sent other bytes than the digest says.
    liars: Vec<bool>,
}

impl SourceBlob {
    pub(super) fn new(blob: Descriptor, candidates: Arc<[Side]>) -> Self {
        let hashes = vec![(0, Hasher::new(blob.digest.algorithm()))];
        let liars = vec![false; candidates.len()];
        Self { blob, candidates, marks: Arc::new(Mutex::new(Marks { hashes, liars })) }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a candidate that was not found to send other bytes.
    pub(super) fn has_candidates(&self) -> bool {
        self.marks().liars.iter().any(|is_liar| !is_liar)
    }

    /// The last place before `offset` from which the hash can go on.
    fn mark(&self, offset: u64) -> (u64, Hasher) {
        let marks = self.marks();
        let found = marks.hashes.iter().rev().find(|(at, _)| *at <= offset).cloned();
        found.unwrap_or_else(|| (0, Hasher::new(self.blob.digest.algorithm())))
    }

    fn failed(&self, side: Option<&Side>, cause: Cause) -> RegistryError {
        let reference = Reference::Digest(self.blob.digest.clone());
        let side = side.or_else(|| self.candidates.first());
        let place = side.map_or_else(
            || super::super::error::Place {
                registry: String::new(),
                repository: String::new(),
                reference: Some(reference.to_string()),
            },
            |side| side.place(Some(&reference)),
        );
        RegistryError { operation: "read the blob", place, cause }
    }
}

impl BlobSource for SourceBlob {
    fn digest(&self) -> &Digest {
        &self.blob.digest
    }

    fn size(&self) -> u64 {
        self.blob.size
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        Box::pin(async move {
            let (at, hasher) = self.mark(offset);
            let mut reader =
                Reader { source: self.clone(), wanted: offset, at, hasher, open: None, breaks: 0, next: 0 };
            // Here, so that a source without the blob fails before a destination is asked for anything.
            reader.open().await?;
            let pieces = stream::unfold(Some(reader), |reader| async {
                let mut reader = reader?;
                match reader.piece().await {
                    Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            });
            Ok(pieces.boxed())
        })
    }
}

struct Reader {
    source: SourceBlob,
    /// From where on bytes are passed on.
    wanted: u64,
    /// How many bytes are hashed.
    at: u64,
    hasher: Hasher,
    /// Who is read, and what comes from there.
    open: Option<(usize, Pieces)>,
    breaks: u32,
    /// Who is tried next.
    next: usize,
}

impl Reader {
    /// Tries the candidates, beginning with the next one.
    async fn open(&mut self) -> Result<(), RegistryError> {
        let count = self.source.candidates.len();
        let mut last = None;
        for step in 0..count {
            let number = (self.next + step) % count;
            let Some(side) = self.source.candidates.get(number) else { continue };
            if self.source.marks().liars.get(number).copied().unwrap_or(true) {
                continue;
            }
            match side.read_blob(&self.source.blob, self.at).await {
                Ok(pieces) => {
                    self.open = Some((number, pieces));
                    self.next = number;
                    return Ok(());
                }
                Err(error) => last = last.or(Some(error)),
            }
        }
        let nobody = || self.source.failed(None, Cause::Unconfirmed("no source has its right bytes".to_owned()));
        Err(last.unwrap_or_else(nobody))
    }

    /// The next piece; nothing once all bytes were passed on.
    async fn piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while self.at < self.source.blob.size {
            let Some((number, pieces)) = &mut self.open else {
                self.open().await?;
                continue;
            };
            let number = *number;
            match pieces.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.breaks = 0;
                    if let Some(piece) = self.take(number, piece)? {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(error)) => self.broken(error)?,
                None => {
                    let message = format!("the blob ended after {} of {} bytes", self.at, self.source.blob.size);
                    let side = self.source.candidates.get(number);
                    let host = side.map(ToString::to_string).unwrap_or_default();
                    let cause = Cause::Unreachable { host, failure: Failure::Interrupted, message };
                    let error = self.source.failed(side, cause);
                    self.broken(error)?;
                }
            }
        }
        Ok(None)
    }

    /// Goes on with the next candidate, or the same one if there is no other.
    fn broken(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.open = None;
        self.breaks += 1;
        self.next += 1;
        let is_over = self.breaks > MAX_BREAKS || !error.cause.is_retryable() && self.source.candidates.len() < 2;
        if is_over { Err(error) } else { Ok(()) }
    }

    /// Checks a piece. The last one is passed on only if the whole is right.
    fn take(&mut self, number: usize, mut piece: Bytes) -> Result<Option<Bytes>, RegistryError> {
        let size = self.source.blob.size;
        let side = self.source.candidates.get(number).cloned();
        let begins = self.at;
        if begins + piece.len() as u64 > size {
            let limit = usize::try_from(size).unwrap_or(usize::MAX);
            return Err(self.lied(number, side.as_ref(), Cause::TooLarge { what: "blob", limit }));
        }
        self.hasher.update(&piece);
        self.at += piece.len() as u64;
        if self.at == size {
            let actual = self.hasher.clone().finish();
            let expected = self.source.blob.digest.clone();
            if actual != expected {
                return Err(self.lied(number, side.as_ref(), Cause::Digest { expected, actual }));
            }
        } else {
            let mut marks = self.source.marks();
            let last = marks.hashes.last().map_or(0, |(at, _)| *at);
            if self.at >= last + MARK_DISTANCE {
                marks.hashes.push((self.at, self.hasher.clone()));
            }
        }
        let skipped = usize::try_from(self.wanted.saturating_sub(begins)).unwrap_or(usize::MAX).min(piece.len());
        let rest = piece.split_off(skipped);
        Ok(Some(rest).filter(|rest| !rest.is_empty()))
    }

    /// Nobody knows which bytes were the wrong ones: everything is read again, from somebody else.
    fn lied(&mut self, number: usize, side: Option<&Side>, cause: Cause) -> RegistryError {
        self.open = None;
        let mut marks = self.source.marks();
        if let Some(is_liar) = marks.liars.get_mut(number) {
            *is_liar = true;
        }
        marks.hashes.truncate(1);
        drop(marks);
        self.source.failed(side, cause)
    }
}
