//! Limits concurrent reviews, in total and for each peer, because their bodies are in memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::manager::semaphores::Semaphores;

/// Maximum number of concurrent reviews.
const AT_ONCE: usize = 4;
/// Maximum for one peer, so that a peer that sends slowly does not block the others.
const OF_ONE_PEER: usize = 2;

/// After a large review, no other one starts for this many times its duration: large reviews take at most a tenth of one
/// processor from the reconciles.
const REST: u32 = 9;
/// Maximum pause, so that one slow review does not block the large ones for long.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The current reviews.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    large: Arc<Semaphore>,
    peers: Semaphores<IpAddr>,
}

/// A slot for one review.
#[derive(Debug)]
pub struct Turn {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The right to read one large body. Dropping it starts the pause.
#[derive(Debug)]
pub struct LargeTurn {
    since: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for LargeTurn {
    fn drop(&mut self) {
        let (permit, rest) = (self.permit.take(), (self.since.elapsed() * REST).min(LONGEST_REST));
        // Without a runtime the process is shutting down, and no review waits.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(rest).await;
                drop(permit);
            });
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { all: places(AT_ONCE), large: places(1), peers: Semaphores::new(OF_ONE_PEER) }
    }
}

impl Turns {
    /// Waits for a slot. The number of waiting reviews is limited by the number of connections.
    pub async fn wait(&self, peer: IpAddr) -> Option<Turn> {
        // Wait for the slot of the peer first, so that a peer does not occupy the common queue.
        let of_peer = self.peers.of(peer).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_peer: of_peer, _of_all: of_all })
    }

    /// Waits until no large review runs and the pause after the last one is over.
    pub async fn large(&self) -> Option<LargeTurn> {
        let permit = Arc::clone(&self.large).acquire_owned().await.ok()?;
        Some(LargeTurn { since: Instant::now(), permit: Some(permit) })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn few_are_at_work_and_not_all_of_one_peer() {
        let turns = Turns::default();
        let first: Vec<Turn> = (0..OF_ONE_PEER).map(|_| turns.wait(peer(1)).now_or_never().unwrap().unwrap()).collect();
        let mut third = Box::pin(turns.wait(peer(1)));
        assert!(third.as_mut().now_or_never().is_none());
        let second: Vec<Turn> =
            (0..OF_ONE_PEER).map(|_| turns.wait(peer(2)).now_or_never().unwrap().unwrap()).collect();
        assert!(turns.wait(peer(3)).now_or_never().is_none(), "more than four at once");
        drop(second);
        assert!(turns.wait(peer(3)).now_or_never().is_some());
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn large_reviews_come_one_at_a_time_with_a_pause_between_them() {
        let turns = Turns::default();
        let first = turns.large().await.unwrap();
        assert!(turns.large().now_or_never().is_none());
        tokio::time::advance(Duration::from_millis(20)).await;
        drop(first);
        let start = Instant::now();
        drop(turns.large().await.unwrap());
        assert_eq!(start.elapsed(), Duration::from_millis(20) * REST);
    }
}
