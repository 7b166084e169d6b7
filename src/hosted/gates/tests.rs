use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::super::facts::{Flags, RolloutFacts};
use super::super::fixtures::{facts, idms, observed_mut};
use super::super::observed::EnvEntry;
use super::super::plan::TargetPlan;
use super::super::proof::held::{Enforcement, HeldSource, HeldSources};
use super::super::sources::ClusterMap;
use super::super::turn::{Turn, turn};
use super::*;
use crate::fleet::claims::Refusal;
use crate::fleet::removal::HeldRemoval;
use crate::fleet::rollout::{Budget, Halt};

const SETTLE: Duration = Duration::from_secs(2);

fn now() -> Moment {
    Moment { instant: Instant::now(), time: Timestamp::from_second(1_000).unwrap() }
}

/// Facts of a hosted cluster with something to write, and one change of them.
type Change = fn(&mut ClusterFacts);

/// For each gate what closes it alone, in the order of the gates.
const CLOSED: [(GateName, Change); 10] = [
    (GateName::NamespaceClaim, |facts| facts.refusal = Some(Refusal::Shared)),
    (GateName::Paused, |facts| facts.settings.paused = Some("annotation hypermirror.dev/paused is \"true\"".into())),
    (GateName::Observing, |facts| flags(facts).observes = true),
    (GateName::LeavingAdmission, |facts| {
        (facts.fleet.leaves, facts.fleet.has_admission_to_remove) = (true, true);
    }),
    (GateName::LeavingNodes, |facts| {
        facts.is_selected = false;
        flags(facts).has_guests = true;
    }),
    (GateName::RemovalHeld, |facts| {
        facts.map = ClusterMap::default();
        let emptied = vec![facts.key.to_string()];
        facts.fleet.removal = Some(HeldRemoval { with_map: 12, emptied, token: "t0".into() });
    }),
    (GateName::ProofMissing, |facts| {
        let source = HeldSource {
            source: "t.example".into(),
            mirrors: vec!["m.example/t".into()],
            live: Vec::new(),
            pool: None,
            why: None,
        };
        facts.held = HeldSources { sources: vec![source], cause: Some("CredentialsNotReadable: no secret".into()) };
        facts.enforcement = Some(Enforcement { subject: "s0".into(), token: "t0".into() });
    }),
    (GateName::Contested, |_| {}), // see `contested`
    (GateName::RolloutBudget, |facts| {
        flags(facts).rollouts = Budget { at_once: 1, ..Budget::OFF };
        facts.rollout.slot = Slot::Queued;
    }),
    (GateName::Settling, |facts| {
        flags(facts).settle = SETTLE;
        let mut memory = (*facts.memory).clone();
        let at = Instant::now();
        for wanted in ["earlier", "now"] {
            memory.edits.record(wanted, SETTLE, at);
            memory.edits.apply(at);
        }
        facts.memory = memory.into();
    }),
];

fn flags(facts: &mut ClusterFacts) -> &mut Flags {
    Arc::make_mut(&mut facts.flags)
}

/// Facts of a hosted cluster whose control plane lacks an entry, with these gates closed.
fn closed(gates: &[GateName]) -> ClusterFacts {
    let mut facts = facts(&idms(&[("s.example", &["m.example"], false)]), "=");
    for (name, close) in CLOSED {
        if gates.contains(&name) {
            close(&mut facts);
        }
    }
    facts
}

/// The gate of facts: a contest is the plan's, so it is put into that.
fn gate_of(facts: &ClusterFacts, is_contested: bool) -> Gate {
    let now = now();
    let Turn { mut plan, memory, gate, .. } = turn(facts, now);
    if !is_contested && facts.held.is_empty() {
        return gate;
    }
    for target in &mut plan.targets {
        target.plan = target.plan.take().map(|plan| {
            if is_contested {
                return plan.contested(Some("rival"));
            }
            // What is held is not in the map: everything else was written.
            TargetPlan { up_to_date: true, ..TargetPlan::default() }
        });
    }
    super::gate(&Proposal { facts, plan: Some(&plan), edits: &memory.edits, now })
}

fn name(gate: &Gate) -> Option<GateName> {
    match gate {
        Gate::Hold(name, _) | Gate::Wait(name, _) => Some(*name),
        Gate::Go | Gate::Claim => None,
    }
}

#[test]
fn without_a_closed_gate_nothing_is_held() {
    assert_eq!(gate_of(&closed(&[]), false), Gate::Go);
}

#[test]
fn every_gate_holds_alone() {
    for (gate, _) in CLOSED {
        let decided = gate_of(&closed(&[gate]), gate == GateName::Contested);
        assert_eq!(name(&decided), Some(gate), "{decided:?}");
    }
}

#[test]
fn the_first_of_two_neighbouring_gates_decides() {
    for pair in CLOSED.windows(2) {
        let names: Vec<GateName> = pair.iter().map(|(name, _)| *name).collect();
        let decided = gate_of(&closed(&names), names.contains(&GateName::Contested));
        // What is contested has nothing to write: then neither place nor time is waited for.
        assert_eq!(name(&decided), Some(names[0]), "{names:?}: {decided:?}");
    }
}

#[test]
fn with_every_gate_closed_they_open_in_their_order() {
    let mut names: Vec<GateName> = CLOSED.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted(), "the names are in the order of the gates");
    // Who leaves is held by no removal, and the other way round.
    names.retain(|name| *name != GateName::RemovalHeld);
    while let Some(first) = names.first().copied() {
        let decided = gate_of(&closed(&names), names.contains(&GateName::Contested));
        assert_eq!(name(&decided), Some(first), "{names:?}");
        names.remove(0);
    }
}

#[test]
fn the_message_of_a_held_change_names_the_state_and_the_way_out() {
    for (gate, status, reason, text) in [
        (GateName::NamespaceClaim, "False", Reason::NamespaceClaimedTwice, "claimed by two HostedClusters"),
        (GateName::Paused, "Unknown", Reason::Paused, "hypermirror.dev/paused"),
        (GateName::Observing, "False", Reason::Observing, "`hypermirror diff`"),
        (GateName::LeavingAdmission, "False", Reason::Leaving, "waiting for the admission to be removed"),
        (GateName::LeavingNodes, "False", Reason::Leaving, "waiting for the nodes of the guest cluster"),
        (GateName::RemovalHeld, "False", Reason::RemovalHeld, "kubectl annotate lease -n hypermirror-system"),
        (GateName::ProofMissing, "False", Reason::ProofMissing, "kubectl annotate hostedcluster -n clusters a"),
        (GateName::Contested, "False", Reason::Contested, "control-plane-operator: rival removes the entry"),
        (GateName::RolloutBudget, "False", Reason::RolloutWaiting, "--max-concurrent-rollouts"),
    ] {
        let decided = gate_of(&closed(&[gate]), gate == GateName::Contested);
        let condition = decided.condition().unwrap();
        assert_eq!((condition.status, condition.reason), (status, reason), "{gate:?}");
        assert!(condition.message.contains(text), "{gate:?}: {}", condition.message);
    }
}

#[test]
fn writes_for_nodes_are_held_by_the_first_gates_and_not_by_the_rollout_budget() {
    for (gate, _) in CLOSED {
        let facts = closed(&[gate]);
        let holds_nodes = gate <= GateName::RemovalHeld;
        assert_eq!(gate_of(&facts, gate == GateName::Contested).holds_nodes(), holds_nodes, "{gate:?}");
        assert_eq!(held(&facts, now()).map(|(name, _)| name), holds_nodes.then_some(gate));
    }
}

#[test]
fn an_up_to_date_cluster_is_not_held() {
    for gate in [GateName::RolloutBudget, GateName::Settling] {
        let mut facts = closed(&[gate]);
        facts.map = ClusterMap::default();
        facts.fleet.management = Arc::default();
        assert_eq!(gate_of(&facts, false), Gate::Go, "{gate:?}");
    }
}

/// A limit of one, and one hosted cluster with something to write.
fn limited(slot: Slot, change: Change) -> ClusterFacts {
    let mut facts = closed(&[]);
    flags(&mut facts).rollouts = Budget { at_once: 1, ..Budget::OFF };
    facts.rollout = RolloutFacts { slot, ..RolloutFacts::default() };
    change(&mut facts);
    facts
}

fn down(facts: &mut ClusterFacts) {
    for target in &mut facts.targets {
        observed_mut(target).rolled_out = false;
    }
}

#[test]
fn a_rollout_begins_with_a_place_and_with_targets_that_are_available() {
    let halt = || Slot::Halted(Halt { here: vec!["clusters/b".parse().unwrap()], elsewhere: 0 });
    let reason = |gate: Gate| gate.condition().map(|condition| condition.reason);
    assert_eq!(gate_of(&limited(Slot::NotClaimed, |_| {}), false), Gate::Claim);
    assert_eq!(gate_of(&limited(Slot::NotClaimed, down), false), Gate::Claim, "it is read again with a place");
    assert_eq!(gate_of(&limited(Slot::Claimed, |_| {}), false), Gate::Go);
    assert_eq!(reason(gate_of(&limited(Slot::Claimed, down), false)), Some(Reason::TargetsUnavailable));
    assert_eq!(reason(gate_of(&limited(Slot::Queued, |_| {}), false)), Some(Reason::RolloutWaiting));
    assert_eq!(reason(gate_of(&limited(halt(), |_| {}), false)), Some(Reason::RolloutHalted));
    let in_flight: Change = |facts| facts.rollout.in_flight = Some("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(gate_of(&limited(Slot::Queued, in_flight), false), Gate::Go, "what has begun goes on");
}

#[test]
fn a_skipped_cluster_claims_a_slot_once_it_is_available() {
    let left_out: Change = |facts| facts.rollout.is_skipped = true;
    assert_eq!(gate_of(&limited(Slot::NotClaimed, left_out), false), Gate::Claim);
    let mut still_down = limited(Slot::NotClaimed, left_out);
    down(&mut still_down);
    let gate = gate_of(&still_down, false);
    assert_eq!(gate.condition().map(|condition| condition.reason), Some(Reason::TargetsUnavailable));
}

#[test]
fn an_unavailable_cluster_is_removed_without_a_slot() {
    let leaves: Change = |facts| {
        facts.is_selected = false;
        down(facts);
        for target in &mut facts.targets {
            let observed = observed_mut(target);
            let ours = EnvEntry { index: 2, value: "s.example=m.example".into() };
            observed.overrides = Some(ours.value.clone());
            observed.container.as_mut().unwrap().env.push(ours);
        }
    };
    for slot in [Slot::Queued, Slot::Claimed] {
        let facts = limited(slot, leaves);
        let turn = turn(&facts, now());
        assert!(turn.is_uncounted && turn.gate == Gate::Go && turn.plan.restarts(), "{turn:#?}");
    }
    assert_eq!(gate_of(&limited(Slot::NotClaimed, leaves), false), Gate::Claim);
}

#[test]
fn triggered_stock_operators_have_time_to_write() {
    let mut facts = closed(&[]);
    flags(&mut facts).settle = SETTLE;
    for target in &mut facts.targets {
        observed_mut(target).stock_managed = true;
    }
    let now = now();
    let first = turn(&facts, now);
    assert!(first.gate == Gate::Go && first.plan.stock_is_behind, "{first:#?}");
    let mut memory = first.memory.clone();
    memory.record_trigger(&first.plan.touch.unwrap(), now.instant);
    facts.memory = memory.into();
    assert_eq!(turn(&facts, now).gate, Gate::Wait(GateName::Settling, SETTLE));
    let later = Moment { instant: now.instant + SETTLE, ..now };
    assert_eq!(turn(&facts, later).gate, Gate::Go);
}
