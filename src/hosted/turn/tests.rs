use std::time::Instant;

use hypermirror_api::HostedClusterMirrorsStatus;
use jiff::Timestamp;

use super::super::delivery::Delivery;
use super::super::fixtures::{facts, idms, observed_mut};
use super::super::observed::EnvEntry;
use super::super::pool_config::KnownPool;
use super::super::sources::ClusterMap;
use super::*;
use crate::fleet::rollout::Budget;
use crate::mirrors::MirrorEntry;

const ENTRY: &str = "s.example=m.example";

fn one() -> Vec<MirrorEntry> {
    idms(&[("s.example", &["m.example"], false)])
}

fn now() -> Moment {
    Moment { instant: Instant::now(), time: Timestamp::from_second(1_000_000).unwrap() }
}

/// The same facts with our entry in every target.
fn in_force(mut facts: ClusterFacts) -> ClusterFacts {
    for target in &mut facts.targets {
        let observed = observed_mut(target);
        observed.overrides = Some(ENTRY.into());
        observed.container.as_mut().unwrap().env.push(EnvEntry { index: 2, value: ENTRY.into() });
    }
    facts
}

fn flags(facts: &mut ClusterFacts) -> &mut super::super::facts::Flags {
    Arc::make_mut(&mut facts.flags)
}

fn annotate(facts: &mut ClusterFacts, key: &str, value: &str) {
    Arc::make_mut(&mut facts.object).annotations_mut().insert(key.to_owned(), value.to_owned());
}

fn memory_after(facts: &ClusterFacts, now: Moment) -> Memory {
    let turn = turn(facts, now);
    let mut memory = turn.memory.clone();
    turn.update_memory(facts, &mut memory, now);
    memory
}

#[test]
fn an_up_to_date_cluster_needs_no_write_and_no_further_turn() {
    let turn = turn(&in_force(facts(&one(), "=")), now());
    assert_eq!((turn.gate, turn.plan.writes(), turn.again_after), (Gate::Go, false, None), "{:#?}", turn.plan);
}

#[test]
fn equal_facts_result_in_equal_turns() {
    let (facts, now) = (facts(&one(), "="), now());
    let (first, second) = (turn(&facts, now), turn(&facts, now));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}

#[test]
fn a_rollout_is_attributed_to_the_owner_only_if_the_management_layer_did_not_change() {
    let cause_of = |leaves: bool, use_management: bool, settled: Option<u64>| {
        let mut facts = facts(&one(), "=");
        (facts.fleet.leaves, facts.settings.use_management) = (leaves, use_management);
        facts.memory = Memory { settled, ..Memory::default() }.into();
        cause(&facts)
    };
    assert_eq!(cause_of(false, true, Some(1)), Cause::Own);
    assert_eq!(cause_of(false, true, Some(0)), Cause::Management, "the management layer moved");
    assert_eq!(cause_of(false, true, None), Cause::Management, "this process is new");
    assert_eq!(cause_of(false, false, None), Cause::Own, "it does without the management layer");
    assert_eq!(cause_of(true, false, Some(1)), Cause::Management, "the whole fleet is left");
}

#[test]
fn a_write_that_restarts_something_leaves_the_mark_of_its_rollout_where_there_is_a_limit() {
    let marks = |facts: &ClusterFacts| {
        let turn = turn(facts, now());
        let patches = turn.plan.planned().map(|plan| format!("{:?}", plan.patch));
        patches.filter(|patch| patch.contains("hypermirror.dev~1rollout")).count()
    };
    let mut facts = facts(&one(), "=");
    assert_eq!(marks(&facts), 0, "there is no limit");
    flags(&mut facts).rollouts = Budget { at_once: 1, ..Budget::OFF };
    assert_eq!(marks(&facts), 3);
}

#[test]
fn a_map_is_recorded_unless_a_gate_holds_it() {
    let recorded = |facts: &ClusterFacts| memory_after(facts, now()).last_map.is_some();
    let mut facts = facts(&one(), "=");
    assert!(recorded(&facts));
    facts.settings.paused = Some("spec.pausedUntil is \"true\"".to_owned());
    assert!(!recorded(&facts));
    facts.settings.paused = None;
    flags(&mut facts).observes = true;
    assert!(!recorded(&facts));
    flags(&mut facts).observes = false;
    facts.is_selected = false;
    assert!(!recorded(&facts), "it leaves");
}

#[test]
fn the_annotation_of_a_hosted_cluster_is_removed_after_all_entries() {
    let mut facts = facts(&one(), "=");
    facts.is_selected = false;
    assert!(!turn(&facts, now()).withdraws, "it never had the annotation");
    annotate(&mut facts, annotations::MIRRORS_OBSERVED, "x");
    assert!(turn(&facts, now()).withdraws);
    assert!(!turn(&in_force(facts.clone()), now()).withdraws, "our entry is still there");
    flags(&mut facts).has_guests = true;
    assert!(!turn(&facts, now()).withdraws, "its nodes come first");
}

#[test]
fn stock_operators_are_not_triggered_while_a_source_cannot_be_read() {
    let mut facts = facts(&one(), "=");
    for target in &mut facts.targets {
        observed_mut(target).stock_managed = true;
    }
    assert!(turn(&facts, now()).plan.touch.is_some());
    facts.fleet.is_blind = true;
    assert_eq!(turn(&facts, now()).plan.touch, None);
    facts.settings.use_management = false;
    assert!(turn(&facts, now()).plan.touch.is_some(), "what it does without cannot be missed");
    flags(&mut facts).triggers_stock = false;
    assert_eq!(turn(&facts, now()).plan.touch, None);
}

#[test]
fn children_wait_for_their_parent_and_the_end_is_planned_without_waiting() {
    let mut facts = facts(&one(), "=");
    for target in &mut facts.targets {
        observed_mut(target).stock_managed = true;
    }
    flags(&mut facts).triggers_stock = false;
    let now = now();
    let first = turn(&facts, now);
    assert!(first.plan.waits_for_parent() && first.again_after.is_some_and(|left| left > facts.flags.handover));
    let digest = short_digest(facts.map.map.env.as_str());
    facts.memory = Memory { parent_since: Some((digest, now.instant)), ..Memory::default() }.into();
    assert!(turn(&facts, now).plan.waits_for_parent());
    let later = Moment { instant: now.instant + facts.flags.handover, ..now };
    assert!(!turn(&facts, later).plan.waits_for_parent());
    facts.memory = Arc::default();
    flags(&mut facts).plans_final_state = true;
    assert!(!turn(&facts, now).plan.waits_for_parent());
}

#[test]
fn the_next_turn_is_at_the_end_of_a_pause() {
    let mut facts = facts(&one(), "=");
    let now = now();
    let ends = now.time + jiff::SignedDuration::from_secs(90);
    Arc::make_mut(&mut facts.object).spec.paused_until = Some(ends.to_string());
    facts.settings.paused = Some("spec.pausedUntil".to_owned());
    assert_eq!(turn(&facts, now).again_after, Some(Duration::from_secs(90)));
}

#[test]
fn boot_config_maps_are_written_unless_writes_for_nodes_are_held() {
    let requested = |facts: &ClusterFacts| -> Vec<(String, bool)> {
        let boot = turn(facts, now()).boot;
        boot.into_iter().map(|wish| (wish.pool, wish.config_map.unwrap().is_some())).collect()
    };
    let mut facts = facts(&[], "=");
    let pool = |delivery| KnownPool { delivery: Some(delivery), ..KnownPool::default() };
    facts.own.entries = one().into();
    facts.pools = Arc::new([("one".into(), pool(Delivery::Rollout)), ("two".into(), pool(Delivery::Agent))].into());
    assert_eq!(requested(&facts), [("one".to_owned(), true)]);
    let mut report = HostedClusterMirrorsStatus::default();
    report.boot.push(hypermirror_api::report::BootReport { node_pool: "gone".into(), ..Default::default() });
    facts.report = Some(report.into());
    assert_eq!(
        requested(&facts),
        [("gone".to_owned(), false), ("one".to_owned(), true)],
        "what was written before goes"
    );
    facts.own.is_lost = true;
    assert_eq!(requested(&facts), [("gone".to_owned(), false)], "what cannot be read now stays");
    facts.settings.paused = Some("paused".to_owned());
    assert_eq!(requested(&facts), []);
}

#[test]
fn a_contested_entry_is_not_written_until_the_delay_is_over() {
    let mut facts = facts(&one(), "=");
    let mut now = now();
    let with = in_force(facts.clone()).targets;
    let without = facts.targets.clone();
    let mut gates = Vec::new();
    for _ in 0..3 {
        for targets in [&with, &without] {
            facts.targets.clone_from(targets);
            now.instant += Duration::from_secs(1);
            let turn = turn(&facts, now);
            gates.push((turn.gate.holding(), turn.again_after));
            facts.memory = turn.memory.into();
        }
    }
    let delayed = (Some(GateName::Contested), Some(Duration::from_secs(10)));
    assert_eq!(gates, [(None, None), (None, None), (None, None), (None, None), (None, None), delayed]);
    facts.map = ClusterMap::default();
    facts.is_selected = false;
    assert_eq!(turn(&facts, now).gate, Gate::Go, "a removal is not contested");
}
