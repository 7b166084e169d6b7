//! Limits the memory for responses of guest clusters while they are read: for each response, and for all together.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum memory for large responses of all guest clusters, a part of the manager's memory limit.
const TOTAL: usize = 64 * MIB;
/// Responses up to this size are not limited. Nearly all are smaller, so guest clusters with large responses delay only each
/// other.
const SMALL: usize = 64 * KIB;

/// 1024 bytes.
pub(super) const KIB: usize = 1024;
/// 1024 KiB.
pub(super) const MIB: usize = 1024 * KIB;

/// The budget for large responses. Clones share it.
#[derive(Clone, Debug)]
pub struct InFlight {
    kibibytes: Arc<Semaphore>,
}

/// A response, with its share of the budget.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body.
    pub(super) bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It exceeds the limit.
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
    /// Creates a budget.
    pub fn new(bytes: usize) -> Self {
        Self { kibibytes: Arc::new(Semaphore::new(bytes / KIB)) }
    }

    /// Reads a body of at most `bound` bytes.
    ///
    /// A large body waits until the budget has space for its maximum size. It never waits while it holds a share, so there is
    /// no deadlock.
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
                // Reserve the whole size, because a growing vector temporarily takes twice its size.
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
