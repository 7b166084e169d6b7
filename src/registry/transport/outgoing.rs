//! The body of an upload: pieces that pass through, and a watch over whether they do.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::super::error::{Cause, RegistryError};

/// Until a server takes the next piece.
const STALL: Duration = Duration::from_mins(1);
/// From the last piece to the answer: object stores copy gigabytes before they have a blob under its digest.
const COMMIT: Duration = Duration::from_mins(5);
/// How often a body that waits for its source is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The pieces of a content, or why there are no more of them.
pub type Pieces = BoxStream<'static, Result<Bytes, RegistryError>>;

/// A body of a known length that is sent as it comes.
pub struct Outgoing {
    /// In bytes.
    pub length: u64,
    /// Exactly so many bytes.
    pub pieces: Pieces,
}

impl Outgoing {
    /// No bytes.
    pub fn empty() -> Self {
        Self { length: 0, pieces: stream::empty().boxed() }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Why a body was not sent.
#[derive(Debug)]
pub enum SendFailure {
    /// Its source ended.
    Source(Box<RegistryError>),
    /// The server did not take it.
    Server(Cause),
}

impl From<Cause> for SendFailure {
    fn from(cause: Cause) -> Self {
        Self::Server(cause)
    }
}

/// What a body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Source,
    Server,
    Answer,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    failure: Option<RegistryError>,
}

/// Sees how a body gets on.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Mutex<State>>);

impl Watch {
    /// Watches these pieces.
    pub(super) fn over(outgoing: Outgoing) -> (Self, Watched) {
        let phase = if outgoing.length == 0 { Phase::Answer } else { Phase::Server };
        let watch = Self(Arc::new(Mutex::new(State { phase, since: Instant::now(), failure: None })));
        (watch.clone(), Watched { pieces: outgoing.pieces, left: outgoing.length, watch })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Why the source ended, if it did.
    pub(super) fn failure(&self) -> Option<Box<RegistryError>> {
        self.state().failure.take().map(Box::new)
    }

    /// Ends when the server has taken nothing for too long. A source that is slow is not the server's fault, and has limits of
    /// its own.
    pub(super) async fn stalled(&self) -> Duration {
        loop {
            let (until, limit) = {
                let state = self.state();
                match state.phase {
                    Phase::Source => (Instant::now() + LOOK, None),
                    Phase::Server => (state.since + STALL, Some(STALL)),
                    Phase::Answer => (state.since + COMMIT, Some(COMMIT)),
                }
            };
            match limit {
                Some(limit) if until <= Instant::now() => return limit,
                _ => sleep_until(until).await,
            }
        }
    }
}

/// A body under watch.
pub(super) struct Watched {
    pieces: Pieces,
    left: u64,
    watch: Watch,
}

/// Ends a request whose body has no more bytes. The watch knows why.
#[derive(Debug)]
pub(super) struct SourceEnded;

impl fmt::Display for SourceEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source ended")
    }
}

impl Error for SourceEnded {}

impl Stream for Watched {
    type Item = Result<Bytes, SourceEnded>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Who sends has sent what it had, and asks for more.
        self.watch.enter(Phase::Source);
        let piece = std::task::ready!(self.pieces.poll_next_unpin(context));
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.watch.enter(if self.left == 0 { Phase::Answer } else { Phase::Server });
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                self.watch.state().failure = Some(error);
                Some(Err(SourceEnded))
            }
            None => {
                self.watch.enter(Phase::Answer);
                None
            }
        })
    }
}
