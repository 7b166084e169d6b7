//! Which reviews are worked at: few at once, whose bodies are all that is held, and of one peer not all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies that are held at once.
const AT_ONCE: usize = 4;
/// Of one peer: whoever sends bodies that never end keeps nobody else waiting.
const OF_ONE_PEER: usize = 2;

/// Who is at work.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    peers: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// The right to read one body and to answer it.
#[derive(Debug)]
pub struct Turn {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), peers: Mutex::default() }
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

    #[test]
    fn peers_that_are_gone_are_forgotten() {
        let turns = Turns::default();
        for number in 0..200 {
            assert!(turns.wait(peer(number)).now_or_never().is_some());
        }
        assert_eq!(turns.peers.lock().unwrap().len(), 1);
    }
}
