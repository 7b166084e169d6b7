use std::time::Instant;

use hypermirror_api::mirror_coverage::UnprovenSource;
use hypermirror_api::{MirrorCoverageStatus, annotations, mirror_coverage};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use proptest::prelude::*;

use super::*;
use crate::hosted::coverage::KnownCoverage;
use crate::hosted::fixtures::{World, facts, idms, observed_mut};
use crate::hosted::gates::GateName;
use crate::hosted::plan::Target;
use crate::hosted::turn::{Turn, turn};
use crate::mirrors::MirrorEntry;
use crate::mirrors::fixtures::any_entries;

const NEEDS: &str = "needs";

type Source = (&'static str, &'static [&'static str], bool);

fn now() -> Moment {
    Moment { instant: Instant::now(), time: Timestamp::from_second(1_000).unwrap() }
}

/// The Deployments of a control plane with these mirrors in force.
fn in_force(live: &[MirrorEntry]) -> Vec<Target> {
    let mut world = World::new(live, "=");
    world.settle();
    world.targets()
}

/// Facts with these targets and declared mirrors, where proofs are needed and none is known.
fn declared(targets: Vec<Target>, desired: &[MirrorEntry]) -> ClusterFacts {
    let mut facts = facts(desired, "=");
    facts.targets = targets;
    facts.targets.iter_mut().for_each(|target| observed_mut(target).rolled_out = true);
    Arc::make_mut(&mut facts.flags).require_proof = RequireProof::Enforce;
    facts
}

/// A fresh MirrorCoverage for a subject, in which these sources are not proven.
fn coverage(subject: &str, unproven: &[&str]) -> Option<Arc<KnownCoverage>> {
    let held = Condition {
        type_: "Held".into(),
        status: if unproven.is_empty() { "True" } else { "False" }.into(),
        reason: "ImagesMissing".into(),
        message: "1 image is missing".into(),
        observed_generation: None,
        last_transition_time: Time(now().time),
    };
    let unproven = unproven.iter().map(|source| UnprovenSource {
        source: (*source).into(),
        consumer: "look-ups".into(),
        verdict: "Missing".into(),
        images: 1,
        message: "m.example/etcd: manifest is missing".into(),
    });
    let proof = mirror_coverage::MirrorProof {
        subject: subject.into(),
        unproven: unproven.collect(),
        ..mirror_coverage::MirrorProof::default()
    };
    let status = MirrorCoverageStatus {
        conditions: vec![held],
        last_check_time: Some(Time(now().time)),
        check_interval_seconds: 60,
        proof: Some(proof),
        ..MirrorCoverageStatus::default()
    };
    KnownCoverage::of(&status).map(Arc::new)
}

/// The facts after the gate, by a proof for the declared mirrors in which these sources are not proven.
fn enforced(targets: Vec<Target>, desired: &[MirrorEntry], unproven: &[&str]) -> ClusterFacts {
    let mut probe = declared(targets.clone(), desired);
    enforce(&mut probe, NEEDS, now());
    let mut facts = declared(targets, desired);
    facts.coverage = probe.enforcement.and_then(|enforcement| coverage(&enforcement.subject, unproven));
    enforce(&mut facts, NEEDS, now());
    facts
}

fn held(facts: &ClusterFacts) -> Vec<&str> {
    facts.held.sources.iter().map(|held| held.source.as_str()).collect()
}

/// Live mirrors, declared ones, the sources that are not proven, the map that results, and the sources that are held.
type Case = (
    &'static str,
    &'static [Source],
    &'static [Source],
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);

const CASES: [Case; 15] = [
    ("a new source", &[], &[("s.example", &["m.example"], true)], &["s.example"], "=", &["s.example"]),
    ("a proven one", &[], &[("s.example", &["m.example"], true)], &[], "s.example=m.example", &[]),
    (
        "another one is not proven",
        &[],
        &[("s.example", &["m.example"], true)],
        &["t.example"],
        "s.example=m.example",
        &[],
    ),
    (
        "a new source with a fallback",
        &[],
        &[("s.example", &["m.example"], false)],
        &["s.example"],
        "s.example=m.example",
        &[],
    ),
    (
        "the rest of the map goes on",
        &[],
        &[
            ("s.example", &["m.example"], true),
            ("t.example", &["m.example"], false),
            ("u.example", &["m.example"], true),
        ],
        &["s.example"],
        "t.example=m.example,u.example=m.example",
        &["s.example"],
    ),
    (
        "a proof is lost",
        &[("s.example", &["m.example"], true)],
        &[("s.example", &["m.example"], true)],
        &["s.example"],
        "s.example=m.example",
        &[],
    ),
    (
        "other mirrors",
        &[("s.example", &["m.example"], true)],
        &[("s.example", &["n.example"], true)],
        &["s.example"],
        "s.example=m.example",
        &["s.example"],
    ),
    (
        "other mirrors, proven",
        &[("s.example", &["m.example"], true)],
        &[("s.example", &["n.example"], true)],
        &[],
        "s.example=n.example",
        &[],
    ),
    (
        "another order",
        &[("s.example", &["m.example", "n.example"], true)],
        &[("s.example", &["n.example", "m.example"], true)],
        &["s.example"],
        "s.example=m.example,s.example=n.example",
        &["s.example"],
    ),
    (
        "a mirror less",
        &[("s.example", &["m.example", "n.example"], true)],
        &[("s.example", &["m.example"], true)],
        &["s.example"],
        "s.example=m.example,s.example=n.example",
        &["s.example"],
    ),
    (
        "the fallback is taken away",
        &[("s.example", &["m.example"], false)],
        &[("s.example", &["m.example"], true)],
        &["s.example"],
        "s.example=m.example",
        &["s.example"],
    ),
    (
        "the fallback is taken away with other mirrors",
        &[("s.example", &["m.example"], false)],
        &[("s.example", &["n.example"], true)],
        &["s.example"],
        "s.example=m.example",
        &["s.example"],
    ),
    (
        "the fallback comes back with other mirrors",
        &[("s.example", &["m.example"], true)],
        &[("s.example", &["n.example"], false)],
        &["s.example"],
        "s.example=n.example",
        &[],
    ),
    ("the source goes", &[("s.example", &["m.example"], true)], &[], &["s.example"], "=", &[]),
    (
        "a wildcard, which the argument cannot have",
        &[("*.s.example", &["m.example"], true)],
        &[("*.s.example", &["m.example"], true)],
        &["*.s.example"],
        "*.s.example=m.example",
        &[],
    ),
];

#[test]
fn only_what_is_new_and_not_proven_is_held_and_what_is_live_stays() {
    for (what, live, desired, unproven, map, expected) in CASES {
        let facts = enforced(in_force(&idms(live)), &idms(desired), unproven);
        assert_eq!(facts.map.map.env.as_str(), map, "{what}");
        assert_eq!(held(&facts), expected, "{what}");
        let Turn { plan, gate, .. } = turn(&facts, now());
        let is_quiet = !expected.is_empty() && !map.contains("t.example");
        if is_quiet {
            assert!(!plan.writes(), "{what}: {plan:#?}");
            assert_eq!(gate.holding(), Some(GateName::ProofMissing), "{what}");
        }
    }
}

#[test]
fn without_a_proof_for_the_current_mirrors_nothing_new_goes_live_and_nothing_live_changes() {
    let (old, new) = (idms(&[("s.example", &["m.example"], true)]), idms(&[("s.example", &["n.example"], true)]));
    for coverage in [None, coverage("another subject", &[])] {
        let mut facts = declared(in_force(&old), &new);
        facts.coverage = coverage;
        enforce(&mut facts, NEEDS, now());
        assert_eq!((facts.map.map.env.as_str(), held(&facts).len()), ("s.example=m.example", 1));
        let cause = facts.held.cause.unwrap();
        assert!(cause.contains("registry-manager"), "{cause}");
    }
    let proven = enforced(in_force(&old), &new, &[]);
    let mut stale = declared(in_force(&old), &new);
    stale.coverage.clone_from(&proven.coverage);
    let later = Moment { time: Timestamp::from_second(1_000 + 180).unwrap(), ..now() };
    enforce(&mut stale, NEEDS, later);
    assert_eq!(held(&stale), ["s.example"], "three intervals later");
}

#[test]
fn a_rollout_that_a_proof_started_goes_on_without_it() {
    let (old, new) = (idms(&[("s.example", &["m.example"], true)]), idms(&[("s.example", &["n.example"], true)]));
    let mut targets = in_force(&old);
    targets[0] = in_force(&new).swap_remove(0);
    let facts = enforced(targets, &new, &["s.example"]);
    assert_eq!(
        (facts.map.map.env.as_str(), held(&facts).len()),
        ("s.example=n.example", 1),
        "the argument is not live yet"
    );
    // The argument is on the second target: whichever has the new mirrors, none goes back.
    let mut targets = in_force(&old);
    targets[1] = in_force(&new).swap_remove(1);
    let facts = enforced(targets, &new, &["s.example"]);
    assert!(facts.held.is_empty() && turn(&facts, now()).plan.writes());
}

#[test]
fn what_a_stock_operator_has_removed_is_still_live() {
    let entries = idms(&[("s.example", &["m.example"], true)]);
    let mut targets = in_force(&entries);
    for target in &mut targets {
        let container = observed_mut(target).container.as_mut().unwrap();
        container.env.truncate(1);
        container.arguments.truncate(1);
    }
    let facts = enforced(targets, &entries, &["s.example"]);
    assert!(facts.held.is_empty() && turn(&facts, now()).plan.restarts(), "it is appended again");
}

#[test]
fn a_token_lets_the_current_mirrors_through_and_no_others() {
    let (first, second) = (idms(&[("s.example", &["m.example"], true)]), idms(&[("s.example", &["n.example"], true)]));
    let token = enforced(in_force(&[]), &first, &["s.example"]).enforcement.unwrap().token;
    for (entries, expected) in [(&first, 0), (&second, 1)] {
        let mut facts = declared(in_force(&[]), entries);
        Arc::make_mut(&mut facts.object)
            .annotations_mut()
            .insert(annotations::ALLOW_UNPROVEN.to_owned(), token.clone());
        enforce(&mut facts, NEEDS, now());
        assert_eq!(facts.held.sources.len(), expected);
    }
}

#[test]
fn nothing_is_held_unless_the_gate_is_closed() {
    let entries = idms(&[("s.example", &["m.example"], true)]);
    let leaves = |facts: &mut ClusterFacts| facts.is_selected = false;
    let warns = |facts: &mut ClusterFacts| Arc::make_mut(&mut facts.flags).require_proof = RequireProof::Warn;
    let is_off = |facts: &mut ClusterFacts| {
        let key = annotations::REQUIRE_PROOF.to_owned();
        Arc::make_mut(&mut facts.object).annotations_mut().insert(key, "off".to_owned());
    };
    for (what, open) in
        [("it leaves", leaves as fn(&mut ClusterFacts)), ("the flag", warns), ("the annotation", is_off)]
    {
        let mut facts = declared(in_force(&[]), &entries);
        open(&mut facts);
        enforce(&mut facts, NEEDS, now());
        assert!(facts.held.is_empty() && facts.enforcement.is_none(), "{what}");
        assert_eq!(facts.map.map.env.as_str(), "s.example=m.example", "{what}");
    }
}

#[test]
fn stock_operators_are_not_triggered_to_read_what_is_held() {
    let facts = enforced(in_force(&[]), &idms(&[("s.example", &["m.example"], true)]), &["s.example"]);
    let stock = &facts.fleet.management.stock_value;
    assert!(would_be_written_by_stock(&facts.held, stock));
    assert!(!would_be_written_by_stock(&facts.held, &"t.example=m.example".into()));
    assert!(!would_be_written_by_stock(&HeldSources::default(), stock));
}

/// The mirrors of each source in the effective map, and the pairs of the argument of ignition-server, after all writes of a plan.
fn after_writes(live: &[MirrorEntry], facts: &ClusterFacts) -> (BTreeMap<String, Vec<String>>, HashSet<String>) {
    let mut world = World::new(live, "=");
    world.settle();
    let plan = turn(facts, now()).plan;
    world.apply(&plan);
    let targets = world.targets();
    let effective = targets[0].observed.as_ref().unwrap().container.as_ref().unwrap().env.last().unwrap().value.clone();
    (mirrors(&effective), argument_pairs(targets[1].observed.as_ref().unwrap()).map(str::to_owned).collect())
}

proptest! {
    /// Whatever is live and declared: without a proof a source without a fallback stays as it is, and all others are as declared.
    #[test]
    fn without_a_proof_no_source_without_a_fallback_changes(live in any_entries(), desired in any_entries()) {
        let before = after_writes(&live, &declared(in_force(&live), &live));
        let mut facts = declared(in_force(&live), &desired);
        let wanted = Arc::clone(&facts.map.map);
        enforce(&mut facts, NEEDS, now());
        let after = after_writes(&live, &facts);
        for (name, source) in &wanted.resolved.sources {
            let declared: Vec<String> = source.all_mirrors().map(str::to_owned).collect();
            let pair = |pairs: &HashSet<String>| -> Vec<String> {
                pairs.iter().filter(|pair| pair.starts_with(&format!("{name}="))).cloned().collect()
            };
            if source.policy == Policy::NeverContactSource {
                prop_assert_eq!(after.0.get(name), before.0.get(name), "{}", name);
                prop_assert_eq!(pair(&after.1), pair(&before.1), "{}", name);
            } else {
                prop_assert_eq!(after.0.get(name).cloned().unwrap_or_default(), declared, "{}", name);
            }
        }
        prop_assert!(wanted.resolved.sources.len() >= facts.map.map.resolved.sources.len());
    }
}
