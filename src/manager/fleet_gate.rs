//! The mass-loss gate over the whole fleet: decided once for a burst of changes, approved on the Lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fleet::admission::{FleetMember, HeldRemoval, mass_removal};

/// How long one decision is used: a burst asks for each of its hosted clusters.
const DECISION_LASTS: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct State {
    decided: Option<(Instant, Option<HeldRemoval>)>,
    /// A person let a removal through; that lasts until nothing is left to remove.
    approved: bool,
}

/// The gate.
#[derive(Debug)]
pub struct FleetGate {
    limit_percent: u8,
    state: Mutex<State>,
}

/// What the gate comes to for the whole fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Hosted clusters whose maps wait to be emptied.
    pub held: usize,
    /// The removal that was let through is through: its permission is used up.
    pub used_up: bool,
}

impl FleetGate {
    /// A gate that holds more than this share of the fleet.
    pub fn new(limit_percent: u8) -> Self {
        Self { limit_percent, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether removals of whole maps are held now; `permission` is the token on the Lease.
    pub fn held(&self, fleet: impl FnOnce() -> Vec<FleetMember>, permission: Option<&str>) -> Option<HeldRemoval> {
        let mut state = self.state();
        let fresh = state.decided.as_ref().filter(|(at, _)| at.elapsed() < DECISION_LASTS);
        let held = if let Some((_, held)) = fresh {
            held.clone()
        } else {
            let held = mass_removal(fleet(), self.limit_percent);
            state.decided = Some((Instant::now(), held.clone()));
            held
        };
        let held = held?;
        if permission == Some(held.token.as_str()) {
            state.approved = true;
        }
        (!state.approved).then_some(held)
    }

    /// Looks at the whole fleet from time to time.
    pub fn settle(&self, fleet: Vec<FleetMember>) -> Settled {
        let pending = fleet.iter().filter(|member| member.has_map && member.wants_none).count();
        if self.state().approved {
            return Settled { held: 0, used_up: pending == 0 };
        }
        Settled { held: mass_removal(fleet, self.limit_percent).map_or(0, |held| held.emptied.len()), used_up: false }
    }

    /// The permission was taken back.
    pub fn close(&self) {
        self.state().approved = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(emptied: usize) -> Vec<FleetMember> {
        (0..12).map(|n| FleetMember { key: format!("{n:02}"), has_map: n >= emptied, wants_none: true }).collect()
    }

    #[test]
    fn a_permission_lasts_until_the_removal_is_through_and_for_that_one_alone() {
        let gate = FleetGate::new(50);
        let held = gate.held(|| fleet(0), None).unwrap();
        assert_eq!(gate.settle(fleet(0)), Settled { held: 12, used_up: false });
        assert_eq!(gate.held(|| fleet(0), Some(&held.token)), None);
        // Half of it is done: the same permission still counts, although the removal is another one now.
        assert_eq!(gate.settle(fleet(1)), Settled { held: 0, used_up: false });
        assert_eq!(gate.settle(fleet(12)), Settled { held: 0, used_up: true });
        gate.close();
        gate.state().decided = None;
        assert!(gate.held(|| fleet(0), None).is_some());
    }

    #[test]
    fn a_burst_is_decided_once() {
        let gate = FleetGate::new(50);
        let held = gate.held(|| fleet(0), None);
        assert_eq!(gate.held(|| unreachable!("it was decided"), None), held);
    }
}
