//! Limits the connections of a port, in total and for each peer. New connections are never rejected: they replace a connection
//! of the peer that has the most.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Limits of the connections of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In total.
    pub connections: usize,
    /// For one peer.
    pub per_peer: usize,
}

/// The connections of one port.
#[derive(Debug)]
pub struct Slots {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// In the order in which they were accepted.
    holders: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    peer: IpAddr,
    is_at_work: bool,
    lost: Arc<Notify>,
}

/// The slot of one connection, which is released on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    number: u64,
    lost: Arc<Notify>,
}

/// The peer of an address: the IPv4 address, or the /64 network of an IPv6 address, because one machine can use all its
/// addresses.
pub fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        canonical @ IpAddr::V4(_) => canonical,
    }
}

impl Slots {
    /// Creates empty slots.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default() })
    }

    /// Acquires a slot for a connection of this peer. If there is no free one, another connection loses its slot.
    pub fn acquire(self: &Arc<Self>, peer: IpAddr) -> Slot {
        let mut held = self.held();
        if let Some(lost) = victim(&held.holders, peer, self.limits).and_then(|victim| held.holders.remove(&victim)) {
            lost.lost.notify_one();
        }
        let (number, lost) = (held.next, Arc::new(Notify::new()));
        held.next += 1;
        held.holders.insert(number, Holder { peer, is_at_work: false, lost: Arc::clone(&lost) });
        Slot { slots: Arc::clone(self), number, lost }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that loses its slot for one from `peer`, if necessary: one of the peer with the most connections, or of
/// `peer` itself if it has reached its limit. Idle connections come first, then the oldest.
fn victim(holders: &BTreeMap<u64, Holder>, peer: IpAddr, limits: Limits) -> Option<u64> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for holder in holders.values() {
        *counts.entry(holder.peer).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or_default();
    let is_of_own = counts.get(&peer).copied().unwrap_or_default() >= limits.per_peer;
    if !is_of_own && holders.len() < limits.connections {
        return None;
    }
    let may_lose =
        |holder: &Holder| if is_of_own { holder.peer == peer } else { counts.get(&holder.peer) == Some(&most) };
    let candidates = holders.iter().filter(|(_, holder)| may_lose(holder));
    candidates.min_by_key(|(number, holder)| (holder.is_at_work, **number)).map(|(number, _)| *number)
}

impl Slot {
    /// Waits until the connection has lost its slot.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Records whether the connection is processing a request. Such connections lose their slots last.
    pub fn set_at_work(&self, is_at_work: bool) {
        if let Some(holder) = self.slots.held().holders.get_mut(&self.number) {
            holder.is_at_work = is_at_work;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.held().holders.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const LIMITS: Limits = Limits { connections: 6, per_peer: 3 };

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn is_lost(slot: &Slot) -> bool {
        slot.lost().now_or_never().is_some()
    }

    #[test]
    fn a_peer_at_its_limit_loses_its_own_oldest_slot() {
        let slots = Slots::new(LIMITS);
        let greedy: Vec<Slot> = (0..4).map(|_| slots.acquire(peer(1))).collect();
        let other = slots.acquire(peer(2));
        assert_eq!(greedy.iter().map(is_lost).collect::<Vec<_>>(), [true, false, false, false]);
        assert!(!is_lost(&other));
    }

    #[test]
    fn when_all_slots_are_in_use_the_peer_with_the_most_loses_one() {
        let slots = Slots::new(LIMITS);
        let one = slots.acquire(peer(1));
        let two: Vec<Slot> = (0..2).map(|_| slots.acquire(peer(2))).collect();
        let three: Vec<Slot> = (0..3).map(|_| slots.acquire(peer(3))).collect();
        three[0].set_at_work(true);
        let newcomer = slots.acquire(peer(4));
        assert_eq!(three.iter().map(is_lost).collect::<Vec<_>>(), [false, true, false], "the oldest that waits");
        assert!(!is_lost(&one) && !two.iter().any(is_lost) && !is_lost(&newcomer));
    }

    #[test]
    fn a_slot_is_free_again_when_its_connection_ends() {
        let slots = Slots::new(LIMITS);
        for _ in 0..100 {
            let _place = slots.acquire(peer(1));
        }
        let held: Vec<Slot> = (0..3).map(|_| slots.acquire(peer(1))).collect();
        assert!(!held.iter().any(is_lost));
    }

    #[test]
    fn one_peer_cannot_use_all_slots() {
        let limits = Limits { connections: 256, per_peer: 64 };
        let slots = Slots::new(limits);
        let honest = slots.acquire(peer(1));
        let silent: Vec<Slot> = (0..256).map(|_| slots.acquire(peer(2))).collect();
        let of_many: Vec<Slot> =
            (0..2_000_u32).map(|n| slots.acquire(IpAddr::from((0x0b00_0000 + n).to_be_bytes()))).collect();
        assert_eq!(silent.iter().filter(|slot| !is_lost(slot)).count(), 0, "many peers take what one had too much of");
        assert_eq!(of_many.iter().filter(|slot| !is_lost(slot)).count() + usize::from(!is_lost(&honest)), 256);
    }

    #[test]
    fn addresses_of_one_machine_are_one_peer() {
        for (address, expected) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("fd00:1:2:3:4:5:6:7", "fd00:1:2:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(peer_of(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        }
    }
}
