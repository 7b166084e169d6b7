//! What the answers of guests may take of this process while they are read: a bound for each, and one for all together.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all guests together may send at once, small answers apart.
const TOTAL: usize = 64 * MIB;
/// An answer of at most this waits for nobody: nearly all are, so that guests that send much hold up only each other.
const SMALL: usize = 64 * KIB;

/// 1024 bytes.
pub(super) const KIB: usize = 1024;
/// 1024 KiB.
pub(super) const MIB: usize = 1024 * KIB;

/// The bytes of large answers that are being read; clones share them.
#[derive(Clone, Debug)]
pub struct InFlight {
    kibibytes: Arc<Semaphore>,
}

/// A whole answer, and its share of what is in flight.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body.
    pub(super) bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It is longer than it may be.
    TooLarge,
    /// The connection failed.
    Failed(kube::Error),
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new(TOTAL)
    }
}

impl InFlight {
    /// Large answers of so many bytes at once.
    pub fn new(bytes: usize) -> Self {
        Self { kibibytes: Arc::new(Semaphore::new(bytes / KIB)) }
    }

    /// Reads a body of at most `bound` bytes.
    ///
    /// One that turns out to be large waits until its whole bound is free. Nobody waits while they hold a share, so that
    /// nobody waits for ever.
    pub(super) async fn read(
        &self,
        mut body: Body,
        announced: Option<usize>,
        bound: usize,
    ) -> Result<Answer, ReadError> {
        if announced.is_some_and(|length| length > bound) {
            return Err(ReadError::TooLarge);
        }
        let mut bytes = Vec::new();
        let mut share = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(ReadError::Failed)?.into_data() else { continue };
            let length = bytes.len() + data.len();
            if length > bound {
                return Err(ReadError::TooLarge);
            }
            if length > SMALL && share.is_none() {
                let size = announced.unwrap_or(bound).max(length);
                share = self.share(size).await;
                // At once: a vector that grows is twice in memory meanwhile.
                bytes.reserve_exact(size - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Answer { bytes, _share: share })
    }

    async fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    async fn read(
        in_flight: &InFlight,
        length: usize,
        announced: Option<usize>,
        bound: usize,
    ) -> Result<Answer, ReadError> {
        in_flight.read(Body::from(vec![b' '; length]), announced, bound).await
    }

    #[tokio::test]
    async fn an_answer_beyond_its_bound_is_not_read() {
        let in_flight = InFlight::default();
        assert_eq!(read(&in_flight, MIB, Some(MIB), MIB).await.unwrap().bytes.len(), MIB);
        assert!(matches!(read(&in_flight, MIB + 1, None, MIB).await, Err(ReadError::TooLarge)));
        assert!(matches!(read(&in_flight, 1, Some(MIB + 1), MIB).await, Err(ReadError::TooLarge)), "not even begun");
    }

    #[tokio::test]
    async fn large_answers_wait_for_each_other_and_small_ones_for_nobody() {
        let in_flight = InFlight::new(2 * MIB);
        let first = read(&in_flight, MIB, None, 2 * MIB).await.unwrap();
        let second = read(&in_flight, MIB, Some(MIB), MIB);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "the first may still grow to its bound");
        assert!(read(&in_flight, SMALL, None, MIB).now_or_never().is_some());
        drop(first);
        assert!(second.await.is_ok());
    }
}
