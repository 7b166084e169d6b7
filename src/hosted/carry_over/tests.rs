use hypermirror_api::report::{ControlPlaneReport, TargetReport};
use serde_json::Value;

use super::super::fixtures::{World, deployment, idms, map, stock_managed};
use super::super::sources::ManagementLayer;
use super::super::target::stock_targets;
use super::*;

/// A report of these sources and policies, written for Deployments with these values and their foreign entries.
fn report(sources: &[(&str, &str, &str)], admitted: &[(&str, &str)]) -> HostedClusterMirrorsStatus {
    let sources = sources.iter().map(|(source, mirror, policy)| SourceReport {
        source: (*source).into(),
        digest_mirrors: mirror.split(',').map(str::to_owned).collect(),
        policy: (*policy).into(),
        ..SourceReport::default()
    });
    let targets = admitted.iter().map(|(admitted, foreign)| TargetReport {
        admitted: if admitted.is_empty() { String::new() } else { short_digest(admitted) },
        foreign: (*foreign).into(),
        ..TargetReport::default()
    });
    let control_plane = ControlPlaneReport { targets: targets.collect(), ..ControlPlaneReport::default() };
    HostedClusterMirrorsStatus { sources: sources.collect(), control_plane, ..HostedClusterMirrorsStatus::default() }
}

const ALLOW: &str = "AllowContactingSource";
const NEVER: &str = "NeverContactSource";

/// A world whose sources are gone after it was settled: what is planned then, with this report.
fn blind(mut world: World, report: Option<&HostedClusterMirrorsStatus>) -> World {
    let specs = stock_targets();
    let observed: Vec<ObservedTarget> =
        world.deployments.iter().zip(&specs).map(|(deployment, spec)| ObservedTarget::read(deployment, spec)).collect();
    world.management = ManagementLayer::new(&[]);
    world.removed.clear();
    world.map = carried(&map(&[]), report, &observed, world.argument);
    for target in &observed {
        if let (Some(overrides), Some(foreign)) = (&target.overrides, foreign_of(report, target)) {
            world.reported.insert(overrides.clone(), foreign);
        }
    }
    world
}

fn writes(world: &World) -> bool {
    world.plan_blind().writes()
}

/// A Deployment as stock operators leave it that run with this flag and this value, and with our annotations of before.
fn rewritten(before: &Value, place: usize, env: &str, flag: &str) -> Value {
    let mut after = stock_managed(deployment(&stock_targets()[place], &[env], Some(flag)));
    for (key, value) in before["metadata"]["annotations"].as_object().into_iter().flatten() {
        after["metadata"]["annotations"][key] = value.clone();
    }
    after
}

#[test]
fn a_report_that_is_older_than_the_annotations_plans_nothing() {
    let old = "s.example=m0.example";
    for (source, policy) in [("s.example", false), ("s.example", true), ("other.example", false)] {
        let mut world = World::new(&idms(&[(source, &["m1.example", "a.example"], policy)]), "=");
        world.settle();
        for report in [
            None,
            Some(report(&[("s.example", "m0.example", ALLOW)], &[(old, ""); 3])),
            Some(report(&[("s.example", "m0.example", NEVER)], &[(old, ""); 3])),
        ] {
            let mut blind =
                blind(World { deployments: world.deployments.clone(), ..World::new(&[], "=") }, report.as_ref());
            assert!(!writes(&blind), "{source} {policy} {report:?}: {:#?}", blind.plan_blind());
            assert_eq!(blind.map.resolved.sources.keys().collect::<Vec<_>>(), [source]);
            // What can still be read is added all the same.
            let added = idms(&[("added.example", &["m.example"], false)]);
            let observed: Vec<ObservedTarget> = blind
                .deployments
                .iter()
                .zip(stock_targets())
                .map(|(deployment, spec)| ObservedTarget::read(deployment, &spec))
                .collect();
            blind.map = carried(&map(&added), report.as_ref(), &observed, blind.argument);
            assert!(blind.map.entries.contains("added.example=m.example"));
            assert!(blind.map.entries.contains(&format!("{source}=m1.example")));
            assert!(!blind.map.entries.contains(old));
        }
    }
}

#[test]
fn foreign_entries_are_not_carried_over_for_any_annotation_in_the_report() {
    let flag = "zz.example=f.example";
    let mut world = World::new(&idms(&[("s.example", &["z.example", "a.example"], true)]), "=");
    world.handover_over = true;
    for place in [1, 2] {
        let stock = format!("s.example=a.example,s.example=z.example,{flag}");
        world.deployments[place] = rewritten(&world.deployments[place], place, &stock, flag);
    }
    world.settle();
    for report in [
        None,
        Some(report(&[("s.example", "z.example", ALLOW)], &[("s.example=z.example,zz.example=f.example", flag)])),
    ] {
        let blind = blind(World { deployments: world.deployments.clone(), ..World::new(&[], "=") }, report.as_ref());
        assert!(!blind.map.entries.contains(flag), "{report:?}");
        assert!(blind.map.entries.contains("s.example=a.example"));
        assert!(!writes(&blind), "{report:?}: {:#?}", blind.plan_blind());
    }
    // The report tells of a foreign entry that no flag names.
    let mut world = World::new(&idms(&[("s.example", &["m.example"], false)]), "o.example=f.example");
    world.settle();
    let report = report(&[], &[("older=older", "o.example=f.example")]);
    let blind = blind(world, Some(&report));
    assert_eq!(blind.map.env.as_str(), "s.example=m.example");
    assert!(!writes(&blind));
}

#[test]
fn a_stock_value_without_an_annotation_that_names_newer_mirrors_is_in_force() {
    let report = report(&[("s.example", "m0.example", ALLOW), ("t.example", "m.example/t", ALLOW)], &[("", ""); 3]);
    for (stock, wanted) in [
        // The operators dropped what they can no longer read.
        ("=", "s.example=m0.example,t.example=m.example/t"),
        ("s.example=m0.example,t.example=m.example/t", "s.example=m0.example,t.example=m.example/t"),
        // They had read an edit that the report does not know.
        ("s.example=m1.example,t.example=m.example/t", "s.example=m1.example,t.example=m.example/t"),
        (
            "s.example=m1.example,t.example=m.example/t,u.example=m.example",
            "s.example=m1.example,t.example=m.example/t,u.example=m.example",
        ),
    ] {
        let mut world = blind(World::new(&[], stock), Some(&report));
        assert_eq!(writes(&world), stock == "=", "{stock}");
        world.apply(&world.plan_blind().clone());
        let value = super::super::fixtures::env_of(&world.deployments[0]).last().copied().unwrap_or_default();
        assert!(Entries::from(value).is_same_map(&wanted.into()), "{stock}: {value}");
    }
}

#[test]
fn carried_entries_keep_mirrors_and_policy_without_foreign_ones() {
    let admitted = "s.example=m.example/s,f.example=x.example";
    let mut target = ObservedTarget { overrides: Some(admitted.into()), ..ObservedTarget::default() };
    let policy = |target: &ObservedTarget, reported: &[(&str, &str, &str)], mode: ArgumentMode| {
        let report = report(reported, &[(admitted, "f.example=x.example")]);
        let carried = carried(&OverrideMap::default(), Some(&report), [target], mode);
        assert_eq!(carried.env.as_str(), "s.example=m.example/s");
        carried.resolved.sources["s.example"].policy
    };
    let reported = |policy| [("s.example", "m.example/s", policy)];
    for mode in [ArgumentMode::None, ArgumentMode::Strict] {
        assert_eq!(policy(&target, &reported(NEVER), mode), Policy::NeverContactSource);
        assert_eq!(policy(&target, &reported(ALLOW), mode), Policy::AllowContactingSource);
    }
    target.argument = Some("s.example=m.example/s".into());
    assert_eq!(policy(&target, &[], ArgumentMode::Strict), Policy::NeverContactSource, "its argument is in force");
    assert_eq!(policy(&target, &reported(ALLOW), ArgumentMode::Strict), Policy::NeverContactSource);
    assert_eq!(policy(&target, &reported(ALLOW), ArgumentMode::None), Policy::AllowContactingSource);
}

#[test]
fn a_policy_that_is_no_longer_in_the_arguments_is_not_restored_from_the_report() {
    let mut world =
        World::new(&idms(&[("s.example", &["m.example/s"], true), ("t.example", &["m.example/t"], false)]), "=");
    world.settle();
    let admitted = "s.example=m.example/s,t.example=m.example/t";
    let reported = [("s.example", "m.example/s", NEVER), ("t.example", "m.example/t", NEVER)];
    let blind = blind(world, Some(&report(&reported, &[(admitted, "")])));
    assert_eq!(blind.map.resolved.sources["t.example"].policy, Policy::AllowContactingSource);
    assert!(!writes(&blind));
}

impl World {
    /// Plans as long as a source cannot be read: nobody is asked to read anything.
    fn plan_blind(&self) -> super::super::plan::Plan {
        let mut plan = self.plan(None);
        plan.touch = None;
        plan
    }
}

#[test]
fn a_target_without_annotation_does_not_outdate_the_report() {
    let target = ObservedTarget { stock_managed: true, ..ObservedTarget::default() };
    let reported = report(&[("s.example", "m.example/s", ALLOW)], &[]);
    let carried = carried(&OverrideMap::default(), Some(&reported), [&target], ArgumentMode::Strict);
    assert_eq!(carried.env.as_str(), "s.example=m.example/s");
}
