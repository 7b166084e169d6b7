//! The gate for mass removals: decides once for many hosted clusters. Approvals are on the Lease.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::fleet::removal::{FleetMember, HeldRemoval, mass_removal};

/// Time for which a decision is reused, because a change of mirrors requests it for each hosted cluster.
const DECISION_LASTS: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct State {
    decided: Option<Decision>,
    /// The last reported token.
    reported: Option<String>,
}

#[derive(Debug)]
struct Decision {
    at: Instant,
    /// The revision of the index at that time.
    revision: u64,
    held: Option<HeldRemoval>,
}

/// The gate.
#[derive(Debug)]
pub struct FleetGate {
    limit_percent: u8,
    state: Mutex<State>,
}

/// The decision for the whole fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// Hosted clusters whose removal waits for approval.
    pub held: usize,
    /// Whether the held removal has changed, so that the token in reports is outdated.
    pub has_changed: bool,
    /// Whether the removal is complete, so that the approval has to be removed.
    pub is_used_up: bool,
}

impl FleetGate {
    /// Creates a gate with this limit in percent.
    pub fn new(limit_percent: u8) -> Self {
        Self { limit_percent, state: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The held removal, if there is one. `revision` changes with the desired maps; `permission` is the token on the Lease.
    pub fn held(
        &self,
        revision: u64,
        fleet: impl FnOnce() -> Vec<FleetMember>,
        permission: Option<&str>,
    ) -> Option<HeldRemoval> {
        // Computed under the lock: many hosted clusters ask at the same moment, and all but one wait for its answer.
        self.with(|state| {
            let fresh = |decision: &&Decision| decision.revision == revision && decision.at.elapsed() < DECISION_LASTS;
            let held = if let Some(decision) = state.decided.as_ref().filter(fresh) {
                decision.held.clone()
            } else {
                let held = mass_removal(fleet(), self.limit_percent);
                state.decided = Some(Decision { at: Instant::now(), revision, held: held.clone() });
                held
            };
            let held = held.filter(|held| permission != Some(held.token.as_str()))?;
            state.reported = Some(held.token.clone());
            Some(held)
        })
    }

    /// Evaluates the whole fleet periodically.
    pub fn evaluate(&self, fleet: Vec<FleetMember>, permission: Option<&str>) -> Evaluation {
        let pending = fleet.iter().any(|member| member.has_map && member.wants_none);
        let held = mass_removal(fleet, self.limit_percent);
        let held = held.filter(|held| permission != Some(held.token.as_str()));
        let count = held.as_ref().map_or(0, |held| held.emptied.len());
        let token = held.map(|held| held.token);
        let has_changed = self.with(|state| std::mem::replace(&mut state.reported, token.clone())) != token;
        Evaluation { held: count, has_changed, is_used_up: permission.is_some() && !pending }
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
        let held = gate.held(0, || fleet(0), None).unwrap();
        let token = Some(held.token.as_str());
        assert_eq!(gate.evaluate(fleet(0), None), Evaluation { held: 12, has_changed: false, is_used_up: false });
        assert!(gate.held(0, || fleet(0), Some("another one")).is_some());
        assert_eq!(gate.held(0, || fleet(0), token), None);
        // A part of it is done, under another leader, too.
        let gate = FleetGate::new(50);
        assert_eq!(gate.held(0, || fleet(1), token), None);
        assert_eq!(gate.evaluate(fleet(1), token), Evaluation { held: 0, has_changed: false, is_used_up: false });
        assert_eq!(gate.evaluate(fleet(12), token), Evaluation { held: 0, has_changed: false, is_used_up: true });
        assert!(gate.held(1, || fleet(0), None).is_some(), "the permission is gone");
    }

    #[test]
    fn reports_are_written_again_when_something_else_is_held() {
        let gate = FleetGate::new(50);
        assert!(!gate.evaluate(fleet(12), None).has_changed);
        assert!(gate.held(1, || fleet(0), None).is_some());
        assert!(!gate.evaluate(fleet(0), None).has_changed);
        assert!(gate.evaluate(fleet(0)[1..].to_vec(), None).has_changed, "one hosted cluster less");
        assert!(gate.evaluate(fleet(12), None).has_changed, "nothing is held any more");
        assert!(!gate.evaluate(fleet(12), None).has_changed);
    }

    #[test]
    fn a_burst_is_decided_once_and_each_change_anew() {
        let gate = FleetGate::new(50);
        assert_eq!(gate.held(1, || fleet(12), None), None);
        let held = gate.held(2, || fleet(0), None);
        assert!(held.is_some());
        assert_eq!(gate.held(2, || unreachable!("it was decided"), None), held);
    }
}
