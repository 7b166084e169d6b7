//! What the rollout budget leaves on targets.

use super::*;

const FIRST: &str = "2026-01-01T00:00:00Z";
const SECOND: &str = "2026-01-01T00:10:00Z";

fn marks(world: &World) -> Vec<Option<&str>> {
    world.deployments.iter().map(|deployment| annotation(deployment, "rollout")).collect()
}

#[test]
fn only_patches_that_restart_pods_have_the_mark() {
    let mut world = World::new(&a_and_b(), "=");
    let plan = world.plan(None);
    assert!(plan.restarts());
    world.apply(&plan);
    assert_eq!(marks(&world), [None; 3], "without a limit there is no mark");

    world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
    world.mark = Some(FIRST.to_owned());
    world.settle();
    assert_eq!(marks(&world), [Some(FIRST); 3]);
    world.mark = Some(SECOND.to_owned());
    let plan = world.plan(None);
    assert!(!plan.writes() && !plan.restarts(), "a new mark alone is worth no write");
}

#[test]
fn the_mark_is_written_before_a_stock_operator_is_triggered() {
    for announced in [false, true] {
        let mut world = World::new(&a_and_b(), "=");
        world.deployments = world.deployments.drain(..).map(stock_managed).collect();
        if announced {
            world.apply(&world.plan(None).clone());
            world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
        }
        assert_eq!(marks(&world), [None; 3]);
        let without = world.plan(None);
        world.mark = Some(FIRST.to_owned());
        let plan = world.plan(None);
        assert!(plan.stock_is_behind && plan.touch.is_some() && plan.restarts());
        let parent =
            |plan: &Plan| plan.targets[0].plan.as_ref().unwrap().announce.clone().map_or(0, |patch| patch.0.len());
        assert!(parent(&plan) > parent(&without));
        world.announce(&plan);
        assert_eq!(marks(&world), [Some(FIRST), None, None]);
        let overrides = annotation(&world.deployments[0], "overrides");
        assert_eq!(overrides.is_some(), announced, "{overrides:?}");
    }
}

#[test]
fn a_rollout_by_a_triggered_stock_operator_needs_a_slot() {
    let mut world = World::new(&a_and_b(), &format!("{A},{B}"));
    world.deployments = world.deployments.drain(..).map(stock_managed).collect();
    assert!(!world.plan(None).restarts(), "asked, but it has nothing to write");
}

#[test]
fn a_removal_is_marked_and_the_mark_is_removed_when_it_is_rolled_out() {
    let mut world = World::new(&a_and_b(), "=");
    world.mark = Some(FIRST.to_owned());
    world.settle();
    (world.leaving, world.mark) = (true, Some(SECOND.to_owned()));
    let plan = world.plan(None);
    assert!(plan.restarts());
    world.apply(&plan);
    assert_eq!(marks(&world), [Some(SECOND); 3]);
    assert_eq!(annotation(&world.deployments[0], "overrides"), None);

    world.in_flight = true;
    let plan = world.plan(None);
    let first = plan.targets[0].plan.as_ref().unwrap();
    assert!(!plan.writes() && !first.up_to_date && first.reason == Some(Reason::Leaving), "{first:?}");

    world.in_flight = false;
    let plan = world.plan(None);
    assert!(plan.writes() && !plan.restarts(), "the mark alone goes");
    world.apply(&plan);
    assert_eq!(marks(&world), [None; 3]);
    assert!(world.plan(None).is_up_to_date());
}

#[test]
fn a_removal_without_a_limit_also_removes_an_old_mark() {
    let mut world = World::new(&a_and_b(), "=");
    world.mark = Some(FIRST.to_owned());
    world.settle();
    (world.leaving, world.mark) = (true, None);
    let plan = world.plan(None);
    world.apply(&plan);
    assert_eq!(marks(&world), [None; 3]);
    assert!(!world.plan(None).writes());
}

#[test]
fn entries_removed_by_a_stock_change_are_restored_in_its_rollout_and_not_counted() {
    let mut world = World::new(&a_and_b(), "=");
    world.mark = Some(FIRST.to_owned());
    world.settle();
    world.mark = Some(SECOND.to_owned());
    for deployment in &mut world.deployments {
        let env = deployment["spec"]["template"]["spec"]["containers"][1]["env"].as_array_mut().unwrap();
        env.pop();
        deployment["spec"]["template"]["spec"]["containers"][1]["image"] = json!("new");
    }
    let plan = world.plan(None);
    assert!(plan.writes() && !plan.restarts());

    // When that rollout is over, it takes one of our own.
    let mut rolled_out = World::new(&a_and_b(), "=");
    rolled_out.deployments = world.deployments.clone();
    rolled_out.mark.clone_from(&world.mark);
    for deployment in &mut rolled_out.deployments {
        deployment["status"] =
            json!({"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    }
    assert!(rolled_out.plan(None).restarts());
    world.apply(&plan);
    assert_eq!(env_of(&world.deployments[0]).len(), 2);
    assert_eq!(marks(&world), [Some(FIRST); 3]);

    // Another map than the one that is remembered is a change of ours.
    world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
    assert!(world.plan(None).restarts());
}
