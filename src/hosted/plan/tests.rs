mod ahead;
mod marks;
mod model;

use serde_json::json;

use super::super::fixtures::{World, annotation, deployment, env_of, idms, itms, map, stock_managed};
use super::super::target::stock_targets;
use super::*;

const A: &str = "s.example/a=m.example/a";
const B: &str = "s.example/b=m.example/b";

fn a_and_b() -> Vec<crate::mirrors::MirrorEntry> {
    idms(&[("s.example/a", &["m.example/a"], false), ("s.example/b", &["m.example/b"], false)])
}

#[test]
fn the_variable_is_appended_after_the_stock_one_and_the_annotation_repeats_it() {
    let mut world = World::new(&a_and_b(), "=");
    world.settle();
    for deployment in &world.deployments {
        assert_eq!(env_of(deployment), ["=", "s.example/a=m.example/a,s.example/b=m.example/b"]);
        assert_eq!(annotation(deployment, "overrides"), env_of(deployment).last().copied());
        assert_eq!(annotation(deployment, "retired"), None);
    }
}

#[test]
fn nothing_is_written_if_the_stock_value_already_has_the_map() {
    let world = World::new(&a_and_b(), &format!("=,{B},{A}"));
    assert!(!world.plan(None).writes());
}

#[test]
fn another_order_of_mirrors_is_written_and_another_order_of_sources_is_not() {
    let ordered = idms(&[("s.example", &["z.example", "a.example"], false)]);
    let mut world = World::new(&ordered, "s.example=a.example,s.example=z.example");
    world.settle();
    let values = ["s.example=a.example,s.example=z.example", "s.example=z.example,s.example=a.example"];
    assert_eq!(env_of(&world.deployments[0]), values);
}

#[test]
fn foreign_entries_are_kept_through_each_edit() {
    let mut world = World::new(&a_and_b(), "zz.example=other.example,aa.example=other.example/x");
    world.settle();
    let foreign = "zz.example=other.example,aa.example=other.example/x";
    assert_eq!(env_of(&world.deployments[1])[1], format!("{A},{B},{foreign}"));
    world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
    world.settle();
    assert_eq!(env_of(&world.deployments[1])[1], format!("{A},{foreign}"));
    world.edit(&[]);
    world.settle();
    assert_eq!(env_of(&world.deployments[1]), [foreign]);
}

#[test]
fn a_deleted_entry_that_the_stock_value_still_has_is_not_restored() {
    let mut world = World::new(&a_and_b(), &format!("{A},{B}"));
    world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
    world.settle();
    assert_eq!(env_of(&world.deployments[0])[1], A);
    assert_eq!(annotation(&world.deployments[0], "retired"), Some(B));
    // A restart forgets the removed entries; the annotation keeps them.
    world.removed.clear();
    assert!(!world.plan(None).writes());
    world.edit(&idms(&[("s.example/c", &["m.example/c"], false)]));
    world.removed.clear();
    world.remembered.insert(A.to_owned());
    world.settle();
    assert_eq!(env_of(&world.deployments[0])[1], "s.example/c=m.example/c");
    assert_eq!(annotation(&world.deployments[0], "retired").unwrap(), format!("{A},{B}"));
}

#[test]
fn retired_entries_are_dropped_once_the_stock_value_has_them_no_longer() {
    let mut world = World::new(&a_and_b(), A);
    world.edit(&[]);
    world.settle();
    assert_eq!((env_of(&world.deployments[0]), annotation(&world.deployments[0], "retired")), (vec![A, "="], Some(A)));
    for deployment in &mut world.deployments {
        deployment["spec"]["template"]["spec"]["containers"][1]["env"][1]["value"] = json!("=");
    }
    world.settle();
    for deployment in &world.deployments {
        assert_eq!(env_of(deployment), ["="]);
        assert_eq!(deployment["metadata"]["annotations"], json!({}));
    }
}

#[test]
fn management_entries_of_the_stock_value_are_removed_from_an_opted_out_cluster() {
    let mut world = World::new(&a_and_b(), &format!("{A},{B},zz.example=o.example"));
    world.map = map(&[]);
    world.settle();
    assert_eq!(env_of(&world.deployments[2]), [&format!("{A},{B},zz.example=o.example"), "zz.example=o.example"]);
    assert_eq!(annotation(&world.deployments[2], "retired").unwrap(), format!("{A},{B}"));
    world.map = (*world.management.map).clone();
    world.settle();
    let effective = env_of(&world.deployments[2]).last().copied().unwrap().to_owned();
    assert!(Entries::from(effective).is_same_map(&format!("{A},{B},zz.example=o.example").into()), "it opts in again");
    assert_eq!(annotation(&world.deployments[2], "retired"), None);
}

#[test]
fn variable_and_annotation_are_removed_with_the_last_entry() {
    let mut world = World::new(&a_and_b(), "=");
    let before = world.deployments.clone();
    world.settle();
    world.edit(&[]);
    world.settle();
    for (deployment, before) in world.deployments.iter().zip(&before) {
        assert_eq!(deployment["spec"], before["spec"]);
        assert_eq!(deployment["metadata"]["annotations"], json!({}));
    }
}

#[test]
fn removal_removes_appended_values_and_keeps_the_rest() {
    let never = idms(&[("s.example/a", &["m.example/a"], true)]);
    let mut world = World::new(&never, "zz.example=o.example");
    let before = world.deployments.clone();
    world.settle();
    assert_ne!(world.deployments[1]["spec"], before[1]["spec"]);
    world.leaving = true;
    world.settle();
    assert_eq!(world.deployments[1]["spec"], before[1]["spec"]);
}

#[test]
fn a_wiped_env_var_is_appended_again_from_the_same_memory() {
    let mut world = World::new(&a_and_b(), "=");
    world.settle();
    let annotations = world.deployments[0]["metadata"]["annotations"].clone();
    world.deployments[0] = deployment(&stock_targets()[0], &["="], Some("="));
    world.deployments[0]["metadata"]["annotations"] = annotations;
    let plan = world.plan(None);
    let target = plan.targets[0].plan.as_ref().unwrap();
    assert!(target.restarts && !target.carries);
    world.settle();
    assert_eq!(env_of(&world.deployments[0]).len(), 2);
}

#[test]
fn a_value_that_no_env_var_can_hold_is_refused() {
    let long = "m.example/".to_owned() + &"x".repeat(200);
    let sources: Vec<String> = (0..1000).map(|n| format!("s.example/{n}")).collect();
    let mirrors = [long.as_str()];
    let list: Vec<_> = sources.iter().map(|source| (source.as_str(), mirrors.as_slice(), false)).collect();
    let world = World::new(&idms(&list), "=");
    let plan = world.plan(None);
    let target = plan.targets[0].plan.as_ref().unwrap();
    assert_eq!((target.reason, &target.patch), (Some(Reason::ValueTooLarge), &None));
    assert!(target.message.contains("131072"), "{}", target.message);
}

#[test]
fn a_missing_container_is_reported_and_nothing_is_written() {
    let mut world = World::new(&a_and_b(), "=");
    world.deployments[1]["spec"]["template"]["spec"]["containers"] = json!([{"name": "other"}]);
    let plan = world.plan(None);
    assert_eq!(plan.targets[1].plan.as_ref().unwrap().reason, Some(Reason::ContainerMissing));
    assert!(plan.targets[0].plan.as_ref().unwrap().patch.is_some());
}

#[test]
fn a_deployment_without_env_gets_one() {
    let mut world = World::new(&a_and_b(), "=");
    let container = &mut world.deployments[0]["spec"]["template"]["spec"]["containers"][1];
    container.as_object_mut().unwrap().remove("env");
    world.settle();
    assert_eq!(env_of(&world.deployments[0]), [format!("{A},{B}")]);
    world.edit(&idms(&[("s.example/a", &["m.example/a"], false)]));
    world.settle();
    assert_eq!(env_of(&world.deployments[0]), [A]);
    world.edit(&[]);
    world.settle();
    assert!(env_of(&world.deployments[0]).is_empty());
}

#[test]
fn the_variable_is_appended_again_after_one_of_another_client() {
    let mut world = World::new(&a_and_b(), "=");
    world.settle();
    let env = &mut world.deployments[0]["spec"]["template"]["spec"]["containers"][1]["env"];
    env.as_array_mut().unwrap().push(json!({"name": "OPENSHIFT_IMG_OVERRIDES", "value": "y.example=o.example"}));
    world.settle();
    let values = env_of(&world.deployments[0]);
    assert_eq!(values.last().copied(), Some(format!("{A},{B},y.example=o.example").as_str()));
    assert_eq!(values.len(), 3);
}

mod stock {
    use super::*;

    fn world(entries: &[crate::mirrors::MirrorEntry], stock: &str) -> World {
        let mut world = World::new(entries, stock);
        world.deployments = world.deployments.into_iter().map(stock_managed).collect();
        world
    }

    #[test]
    fn stock_operators_are_triggered_once_for_each_state_of_the_management_mirrors() {
        let world = world(&a_and_b(), "=");
        let asked = world.plan(None).touch.unwrap();
        assert_eq!(world.plan(Some(&asked)).touch, None, "it does not answer");
        let mut edited = world;
        edited.edit(&itms(&[("t.example", &["m.example/t"], false)]));
        let again = edited.plan(Some(&asked)).touch;
        assert_ne!(again, None, "the digest entries are gone");
        edited.edit(&a_and_b());
        assert_eq!(edited.plan(again.as_deref()).touch, Some(asked), "they are back");
    }

    #[test]
    fn a_stock_operator_that_read_removed_mirrors_is_triggered_again() {
        let mut world = world(&a_and_b(), "=");
        let asked = world.plan(None).touch;
        let seen = |world: &World| {
            let plan = world.plan(asked.as_deref());
            (plan.stock_is_behind, plan.touch.is_some())
        };
        let print = |world: &mut World, value: &str| {
            world.deployments[0] = stock_managed(deployment(&stock_targets()[0], &[value], Some("=")));
        };
        assert_eq!(seen(&world), (true, false));
        print(&mut world, &format!("{A},{B}"));
        assert_eq!(seen(&world), (false, false));
        print(&mut world, &format!("{A},{B},gone.example=m.example"));
        assert_eq!(seen(&world), (true, true));
        let asked = world.plan(asked.as_deref()).touch.unwrap();
        world.trigger = Trigger::First;
        let repeated = world.plan(Some(&asked)).touch;
        assert!(repeated.as_ref().is_some_and(|repeated| *repeated != asked), "a new leader asks again: {repeated:?}");
        assert_eq!(world.plan(repeated.as_deref()).touch.as_ref(), Some(&asked), "and so does the next");
        world.trigger = Trigger::Repeated;
        assert_eq!(world.plan(repeated.as_deref()).touch, None, "once");
    }

    #[test]
    fn stock_operators_are_not_triggered_for_tag_mirrors() {
        let world = world(&itms(&[("t.example", &["m.example/t"], false)]), "=");
        assert_eq!(world.plan(None).touch, None);
    }

    #[test]
    fn nothing_is_announced_if_the_stock_operator_will_write_the_map_itself() {
        let world = world(&a_and_b(), "=");
        let plan = world.plan(None);
        assert!(plan.planned().all(|target| target.announce.is_none()));
    }

    #[test]
    fn an_order_that_the_stock_operator_loses_is_announced_before_the_change() {
        let mut world = world(&idms(&[("s.example", &["z.example", "a.example"], false)]), "=");
        let plan = world.plan(None);
        world.announce(&plan);
        assert_eq!(annotation(&world.deployments[0], "overrides"), Some("s.example=z.example,s.example=a.example"));
        assert_eq!(env_of(&world.deployments[0]), ["="], "an annotation restarts nothing");
    }

    #[test]
    fn children_wait_for_the_parents_entries_and_then_only_their_order_is_corrected() {
        let mut world = world(&idms(&[("s.example", &["z.example", "a.example"], false)]), "=");
        let plan = world.plan(None);
        let waits: Vec<bool> = plan.planned().map(|target| target.waits_for_parent).collect();
        assert_eq!(waits, [false, true, true]);
        world.apply(&plan);
        assert_eq!(env_of(&world.deployments[1]), ["="]);
        // The parent's new pod writes its children: sorted, with a leading `=`.
        for (place, spec) in stock_targets().iter().enumerate().skip(1) {
            let handed_on = "=,s.example=a.example,s.example=z.example";
            let annotations = world.deployments[place]["metadata"]["annotations"].clone();
            world.deployments[place] = stock_managed(deployment(spec, &[handed_on], Some("=")));
            world.deployments[place]["metadata"]["annotations"] = annotations;
        }
        let plan = world.plan(None);
        assert!(plan.planned().all(|target| !target.waits_for_parent));
        world.apply(&plan);
        assert_eq!(env_of(&world.deployments[1])[1], "s.example=z.example,s.example=a.example");
    }

    #[test]
    fn children_that_got_no_entries_in_time_are_written() {
        let mut world = world(&a_and_b(), "=");
        world.handover_over = true;
        let plan = world.plan(None);
        assert!(plan.planned().all(|target| target.restarts));
    }

    #[test]
    fn a_crash_between_the_announcement_and_the_change_restores_no_removed_entry() {
        let mut world = world(&idms(&[("s.example", &["z.example", "a.example"], false)]), "=");
        world.handover_over = true;
        world.settle_with_touch();
        world.edit(&idms(&[("t.example", &["z.example", "a.example"], false)]));
        let plan = world.plan(None);
        world.announce(&plan);
        world.removed.clear(); // the process that knew is gone
        world.settle_with_touch();
        let values = env_of(&world.deployments[0]);
        assert_eq!(values, ["=", "t.example=z.example,t.example=a.example"]);
        assert_eq!(annotation(&world.deployments[0], "retired"), None);
    }

    #[test]
    fn a_foreign_entry_that_is_absent_for_a_moment_does_not_become_managed() {
        let mut world = world(&a_and_b(), &format!("=,{A},{B},zz.example=o.example"));
        world.map = map(&idms(&[("s.example/a", &["m.example/a"], false)]));
        world.handover_over = true;
        world.settle_with_touch();
        assert_eq!(env_of(&world.deployments[1])[1], format!("{A},zz.example=o.example"));
        world.handover_over = false;
        let stock = &mut world.deployments[1]["spec"]["template"]["spec"]["containers"][1]["env"][1];
        let before = std::mem::replace(&mut stock["value"], json!("y.example=o.example"));
        world.settle_with_touch();
        world.deployments[1]["spec"]["template"]["spec"]["containers"][1]["env"][1]["value"] = before;
        world.handover_over = true;
        world.settle_with_touch();
        assert_eq!(env_of(&world.deployments[1])[1], format!("{A},zz.example=o.example"));
    }

    impl World {
        /// Settles with stock operators that do not answer.
        fn settle_with_touch(&mut self) {
            let asked = self.plan(None).touch;
            for _ in 0..3 {
                let plan = self.plan(asked.as_deref());
                self.apply(&plan);
            }
            assert!(!self.plan(asked.as_deref()).writes());
        }
    }
}
