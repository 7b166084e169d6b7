//! One read for many destinations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::client::BlobSource;
use super::super::error::{Cause, Failure, RegistryError};
use super::super::name::Reference;
use super::super::transport::Pieces;
use super::super::wire::digest::Digest;
use super::progress::CopyProgress;
use super::side::Side;
use super::source::SourceBlob;

/// Pieces that wait for a destination. A few: what is faster waits for what is slower, and memory is bounded.
const DEPTH: usize = 4;
/// A destination that takes nothing for so long reads by itself, so that the others need not wait for it.
const LAG: Duration = Duration::from_secs(10);

type Piece = Result<Bytes, RegistryError>;

/// The source as one destination gets it: the shared read first, and its own when that is over.
pub(super) struct Branch {
    source: SourceBlob,
    shared: Mutex<Option<mpsc::Receiver<Piece>>>,
    demand: mpsc::Sender<()>,
    progress: Arc<dyn CopyProgress>,
    to: Side,
}

/// Feeds the branches.
pub(super) struct Pump {
    source: SourceBlob,
    outlets: Vec<mpsc::Sender<Piece>>,
    demand: mpsc::Receiver<()>,
}

/// One read, and a branch of it for each destination; a single one reads by itself.
pub(super) fn tee(source: &SourceBlob, to: &[Side], progress: &Arc<dyn CopyProgress>) -> (Pump, Vec<Branch>) {
    let mut outlets = Vec::new();
    let mut branches = Vec::new();
    let (asks, demand) = mpsc::channel(1);
    for side in to {
        let mut shared = None;
        if to.len() > 1 {
            let (outlet, branch) = mpsc::channel(DEPTH);
            outlets.push(outlet);
            shared = Some(branch);
        }
        let (source, progress, demand) = (source.clone(), progress.clone(), asks.clone());
        branches.push(Branch { source, shared: Mutex::new(shared), demand, progress, to: side.clone() });
    }
    (Pump { source: source.clone(), outlets, demand }, branches)
}

impl Pump {
    /// Reads until nobody takes anything any longer. Errors go to the branches.
    pub(super) async fn run(mut self) {
        // Nothing is read as long as nobody wants a byte: all of them may hold the blob, or mount it.
        if self.outlets.is_empty() || self.demand.recv().await.is_none() {
            return;
        }
        let mut pieces = match self.source.open(0).await {
            Ok(pieces) => pieces,
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        while let Some(piece) = pieces.next().await {
            // All at once: the slowest alone decides how long it takes.
            let sent = self.outlets.iter().map(|outlet| timeout(LAG, outlet.send(piece.clone())));
            let sent = futures::future::join_all(sent).await;
            let mut is_there = sent.into_iter().map(|sent| matches!(sent, Ok(Ok(()))));
            self.outlets.retain(|_| is_there.next().unwrap_or_default());
            if self.outlets.is_empty() {
                return;
            }
        }
    }
}

impl Branch {
    /// Whether there is a source that was not found to have other bytes.
    pub(super) fn has_candidates(&self) -> bool {
        self.source.has_candidates()
    }

    /// What is shared, once.
    fn shared(&self) -> Option<mpsc::Receiver<Piece>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fell_behind(&self) -> RegistryError {
        let cause = Cause::Unreachable {
            host: self.to.to_string(),
            failure: Failure::Interrupted,
            message: "it was slower than other destinations of the same blob".to_owned(),
        };
        let place = self.to.place(Some(&Reference::Digest(self.source.digest().clone())));
        RegistryError { operation: "read the blob", place, cause }
    }
}

impl BlobSource for Branch {
    fn digest(&self) -> &Digest {
        self.source.digest()
    }

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        Box::pin(async move {
            let shared = self.shared().filter(|_| offset == 0);
            let pieces = match shared {
                Some(shared) => {
                    // Somebody else has asked already if it is full.
                    _ = self.demand.try_send(());
                    let size = self.size();
                    let behind = self.fell_behind();
                    let state = Some((shared, 0, behind));
                    let pieces = stream::unfold(state, move |state| async move {
                        let (mut shared, seen, behind) = state?;
                        match shared.recv().await {
                            Some(Ok(piece)) => {
                                let seen = seen + piece.len() as u64;
                                Some((Ok(piece), Some((shared, seen, behind))))
                            }
                            Some(Err(error)) => Some((Err(error), None)),
                            None if seen < size => Some((Err(behind), None)),
                            None => None,
                        }
                    });
                    pieces.boxed()
                }
                None => self.source.open(offset).await?,
            };
            let (progress, to, digest) = (self.progress.clone(), self.to.clone(), self.digest().clone());
            let counted = pieces.inspect(move |piece| {
                if let Ok(piece) = piece {
                    progress.blob_bytes(&to, &digest, piece.len() as u64);
                }
            });
            Ok(counted.boxed())
        })
    }
}
