//! Which reviews are worked at: few at once, whose bodies are all that is held, and of one peer not all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bodies that are held at once.
const AT_ONCE: usize = 4;
/// Of one peer: whoever sends bodies that never end keeps nobody else waiting.
const OF_ONE_PEER: usize = 2;

/// A large review is followed by a pause of so many times its duration, in which no other large one starts: together they take
/// at most a tenth of one processor from the reconciles.
const REST: u32 = 9;
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Who is at work.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    large: Arc<Semaphore>,
    peers: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// The right to read one body and to answer it.
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
        // Without a runtime the process ends, and nobody waits.
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
        Self { all: places(AT_ONCE), large: places(1), peers: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn. How many wait is bounded by the connections: each has one request at a time.
    pub async fn wait(&self, peer: IpAddr) -> Option<Turn> {
        // First its own line: in the line of all a peer has no more places than it may work at.
        let of_peer = self.of(peer).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_peer: of_peer, _of_all: of_all })
    }

    /// Waits until no other large review is at work or was a moment ago.
    pub async fn large(&self) -> Option<LargeTurn> {
        let permit = Arc::clone(&self.large).acquire_owned().await.ok()?;
        Some(LargeTurn { since: Instant::now(), permit: Some(permit) })
    }

    fn of(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or works holds one, too.
        peers.retain(|_, of_peer| Arc::strong_count(of_peer) > 1);
        Arc::clone(peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_PEER))))
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

    #[test]
    fn peers_that_are_gone_are_forgotten() {
        let turns = Turns::default();
        for number in 0..200 {
            assert!(turns.wait(peer(number)).now_or_never().is_some());
        }
        assert_eq!(turns.peers.lock().unwrap().len(), 1);
    }
}
