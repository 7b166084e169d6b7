use proptest::prelude::*;
use serde_json::json;

use super::super::fixtures::{World, deployment, env_of, idms, stock_managed};
use super::super::target::{ArgumentList, stock_targets};
use super::*;

const OURS: &str = "s.example/a=m.example/a";
const OPERATOR: &str = names::HYPERSHIFT_OPERATOR_USER;

fn reviewer() -> Reviewer {
    Reviewer { targets: stock_targets(), field_unaware_users: [OPERATOR.to_owned()].into() }
}

/// What a write of `(group, resource)` by this user is changed by; an object that cannot be read is changed by nothing.
fn reviewed(
    (group, resource): (&str, &str),
    user: &str,
    object: &Value,
    before: Option<&Value>,
) -> Option<json_patch::Patch> {
    let text = |object: &Value| RawValue::from_string(object.to_string()).unwrap();
    let (object, before) = (text(object), before.map(text));
    let write = Write { group, resource, user, object: &object, before: before.as_deref() };
    reviewer().review(&write).ok().flatten()
}

const DEPLOYMENTS: (&str, &str) = ("apps", "deployments");
const HOSTED_CLUSTERS: (&str, &str) = ("hypershift.openshift.io", "hostedclusters");

/// The object as it is stored in the end.
fn stored(object: &Value, before: Option<&Value>) -> Value {
    let mut stored = object.clone();
    if let Some(patch) = reviewed(DEPLOYMENTS, "x", object, before) {
        json_patch::patch(&mut stored, &patch).unwrap();
    }
    stored
}

fn annotated(mut deployment: Value, overrides: Option<&str>, argument: Option<&str>) -> Value {
    for (key, value) in [("overrides", overrides), ("registry-overrides-argument", argument)] {
        if let Some(value) = value {
            deployment["metadata"]["annotations"][format!("hypermirror.dev/{key}")] = json!(value);
        }
    }
    deployment
}

/// A change of the pod template that has nothing to do with mirrors.
fn renewed(mut deployment: Value) -> Value {
    deployment["spec"]["template"]["spec"]["containers"][1]["image"] = json!("new");
    deployment
}

#[test]
fn the_entry_is_restored_if_the_write_removes_it() {
    let spec = &stock_targets()[0];
    for (what, left, annotation, expected) in [
        ("ours is gone", &["="] as &[&str], Some(OURS), &["=", OURS] as &[&str]),
        ("ours was the only one", &[], Some(OURS), &[OURS]),
        ("ours is there", &["=", OURS], Some(OURS), &["=", OURS]),
        ("an older one of ours is there", &["=", "s.example/a=old"], Some(OURS), &["=", "s.example/a=old"]),
        ("somebody follows ours", &["=", OURS, "x=y"], Some(OURS), &["=", OURS, "x=y"]),
        ("the annotation is gone", &["="], None, &["="]),
        ("the stock value says it", &[OURS], Some(OURS), &[OURS]),
        ("the stock value says it otherwise", &["=,t=n,s=m"], Some("s=m,t=n"), &["=,t=n,s=m"]),
        ("another order of mirrors is another thing", &["s=a,s=b"], Some("s=b,s=a"), &["s=a,s=b", "s=b,s=a"]),
        ("the stock value is new", &["u=v"], Some(OURS), &["u=v", OURS]),
        ("nothing is to be said, and it is not", &["="], Some("="), &["="]),
        ("nothing is to be said, and no env var is there", &[], Some("="), &[]),
        ("nothing is to be said, and something is", &["u=v"], Some("="), &["u=v", "="]),
    ] {
        let after = annotated(renewed(deployment(spec, left, Some("="))), annotation, None);
        let before = annotated(deployment(spec, &["=", OURS], Some("=")), Some(OURS), None);
        assert_eq!(env_of(&stored(&after, Some(&before))), expected, "{what}");
        assert_eq!(env_of(&stored(&after, None)), expected, "{what}, in a new object");
    }
}

#[test]
fn a_write_that_restarts_nothing_stays_one() {
    let spec = &stock_targets()[0];
    let before = deployment(spec, &["="], Some("="));
    let announced = annotated(before.clone(), Some(OURS), Some("a=b"));
    assert_eq!(stored(&announced, Some(&before)), announced);
    let mut scaled = announced.clone();
    scaled["spec"]["replicas"] = json!(2);
    assert_eq!(stored(&scaled, Some(&announced)), scaled);
    assert_eq!(env_of(&stored(&renewed(announced.clone()), Some(&announced))), ["=", OURS]);
}

#[test]
fn the_argument_comes_back_in_the_form_of_its_target() {
    for spec in &stock_targets() {
        let list = if spec.form.list == ArgumentList::Args { "args" } else { "command" };
        let words = |deployment: &Value| {
            let list = deployment["spec"]["template"]["spec"]["containers"][1][list].as_array().unwrap().clone();
            list.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let before = deployment(spec, &["="], Some("="));
        let after = annotated(renewed(before.clone()), None, Some("a=b"));
        let appended =
            if spec.form.split { vec!["--registry-overrides", "a=b"] } else { vec!["--registry-overrides=a=b"] };
        let once = stored(&after, Some(&before));
        let expected: Vec<String> = words(&after).into_iter().chain(appended.into_iter().map(str::to_owned)).collect();
        assert_eq!(words(&once), expected, "{}", spec.deployment);
        assert_eq!(env_of(&once), ["="]);
        assert_eq!(stored(&once, Some(&before)), once);
    }
}

#[test]
fn other_objects_are_not_patched() {
    let spec = &stock_targets()[0];
    let before = deployment(spec, &["=", OURS], Some("="));
    let after = annotated(renewed(deployment(spec, &["="], Some("="))), Some(OURS), None);
    let with = |change: fn(&mut Value)| {
        let mut object = after.clone();
        change(&mut object);
        object
    };
    for (what, object) in [
        ("another name", with(|object| object["metadata"]["name"] = json!("etcd"))),
        ("no name yet", with(|object| object["metadata"]["name"] = Value::Null)),
        ("no such container", with(|object| object["spec"]["template"]["spec"]["containers"][1]["name"] = json!("x"))),
        ("on its way out", with(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"))),
        ("no object", Value::Null),
        ("no Deployment", json!({"metadata": {"name": spec.deployment}, "spec": 1})),
    ] {
        assert_eq!(reviewed(DEPLOYMENTS, "x", &object, Some(&before)), None, "{what}");
    }
    for of in [("apps", "statefulsets"), ("", "deployments"), ("hypershift.openshift.io", "nodepools")] {
        assert_eq!(reviewed(of, "x", &after, Some(&before)), None, "{of:?}");
    }
}

#[test]
fn the_field_is_restored_only_for_users_that_do_not_know_it() {
    let with =
        |reference: Value| json!({"metadata": {"name": "a"}, "spec": {"imageMirrorConfigRef": reference, "x": 1}});
    let (full, empty) = (with(json!({"name": "mirrors"})), json!({"metadata": {"name": "a"}, "spec": {"x": 1}}));
    let other = with(json!({"name": "other"}));
    let mut leaving = empty.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let null = with(Value::Null);
    for (what, user, before, object, restored) in [
        ("lost by the operator", OPERATOR, Some(&full), &empty, true),
        ("null is lost, too", OPERATOR, Some(&full), &null, true),
        ("removed by a person", "alice", Some(&full), &empty, false),
        ("changed", OPERATOR, Some(&full), &other, false),
        ("kept", OPERATOR, Some(&full), &full, false),
        ("never there", OPERATOR, Some(&empty), &empty, false),
        ("null before", OPERATOR, Some(&null), &empty, false),
        ("created", OPERATOR, None, &empty, false),
        ("deleted", OPERATOR, Some(&full), &leaving, false),
    ] {
        let patch = reviewed(HOSTED_CLUSTERS, user, object, before);
        assert_eq!(patch.is_some(), restored, "{what}");
        let mut stored = object.clone();
        if let Some(patch) = patch {
            json_patch::patch(&mut stored, &patch).unwrap();
            assert_eq!(stored["spec"], full["spec"], "{what}");
            assert_eq!(reviewed(HOSTED_CLUSTERS, user, &stored, before), None, "{what}");
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let entry =
        prop_oneof![Just("="), Just("a=m"), Just("a=n"), Just("b=m"), Just("c.example/x=m.example/y"), Just("bad")];
    prop::collection::vec(entry, 0..4).prop_map(|entries| entries.join(","))
}

fn any_deployment() -> impl Strategy<Value = Value> {
    let annotation = || prop::option::of(value());
    let parts =
        (0..3_usize, prop::collection::vec(value(), 0..4), prop::option::of(value()), annotation(), annotation());
    parts.prop_map(|(place, env, flag, overrides, argument)| {
        let env: Vec<&str> = env.iter().map(String::as_str).collect();
        let deployment = deployment(&stock_targets()[place], &env, flag.as_deref());
        annotated(stock_managed(deployment), overrides.as_deref(), argument.as_deref())
    })
}

#[test]
fn the_annotations_are_read_under_their_names() {
    let text =
        json!({annotations::OVERRIDES: "a", annotations::APPENDED_ARGUMENT: "b", "example.com/x": "y"}).to_string();
    let read: object::Annotations = serde_json::from_str(&text).unwrap();
    assert_eq!((read.overrides.as_deref(), read.argument.as_deref()), (Some("a"), Some("b")));
    let text = json!({names::IMAGE_MIRROR_CONFIG_REF_FIELD: {"name": "c"}}).to_string();
    let read: HostedClusterSpec<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(read.reference.unwrap().get(), r#"{"name":"c"}"#);
}

#[test]
fn a_reference_that_is_no_reference_is_not_repeated() {
    let before = json!({"spec": {"imageMirrorConfigRef": {"name": "x".repeat(MAX_REFERENCE)}}});
    assert_eq!(reviewed(HOSTED_CLUSTERS, OPERATOR, &json!({"spec": {}}), Some(&before)), None);
}

/// A child as a stock operator writes it: mirrors of the management cluster, and the hypershift operator's own flag, which it
/// names in both forms.
fn child(mirrors: &str, flag: &str) -> Value {
    let both: Vec<&str> = [mirrors, flag].into_iter().filter(|value| *value != "=").collect();
    let env = if both.is_empty() { "=".to_owned() } else { both.join(",") };
    deployment(&stock_targets()[1], &[&env], Some(flag))
}

#[test]
fn foreign_entries_are_added_and_removed_with_the_write_that_shows_them() {
    for (what, before, after, remembered, expected) in [
        ("a flag comes", ("a=y,a=x", "="), ("a=y,a=x", "z=m"), "a=x,a=y", "a=x,a=y,z=m"),
        ("a flag goes", ("a=y,a=x", "z=m"), ("a=y,a=x", "="), "a=x,a=y,z=m", "a=x,a=y"),
        ("a flag changes", ("a=y,a=x", "z=m"), ("a=y,a=x", "z=n"), "a=x,a=y,z=m", "a=x,a=y,z=n"),
        ("it was there and is not wanted", ("a=y", "z=m"), ("a=y", "z=m"), "a=x", "a=x"),
        ("it is remembered already", ("a=y", "="), ("a=y", "z=m"), "a=x,z=m", "a=x,z=m"),
        ("a mirror of the management cluster comes", ("a=y", "="), ("a=y,b=m", "="), "a=x", "a=x"),
        ("such a mirror goes", ("a=y,b=m", "="), ("a=y", "="), "a=x,b=m", "a=x,b=m"),
        ("a mirror becomes a flag", ("b=m", "="), ("=", "b=m"), "a=x,b=m", "a=x,b=m"),
        ("the last of them goes", ("=", "z=m"), ("=", "="), "z=m,q=m", "q=m"),
    ] {
        let before = annotated(child(before.0, before.1), Some(remembered), None);
        let after = annotated(renewed(child(after.0, after.1)), Some(remembered), None);
        let stored = stored(&after, Some(&before));
        assert_eq!(env_of(&stored).last(), Some(&expected), "{what}");
        let annotation = stored["metadata"]["annotations"]["hypermirror.dev/overrides"].as_str();
        assert_eq!(annotation, Some(expected), "{what}");
    }
}

#[test]
fn nothing_is_appended_to_a_stock_value_that_has_the_map_again() {
    let before = annotated(child("a=m", "="), Some("a=m,z=m"), None);
    let after = annotated(renewed(child("a=m", "z=m")), Some("a=m"), None);
    let stored = stored(&after, Some(&before));
    assert_eq!(env_of(&stored), ["a=m,z=m"]);
    assert_eq!(stored["metadata"]["annotations"]["hypermirror.dev/overrides"], "a=m,z=m");
}

proptest! {
    #[test]
    fn the_container_is_read_as_the_manager_reads_it(object in any_deployment(), absent in prop::sample::subsequence(vec!["env", "args", "command"], 0..=3)) {
        let mut object = object;
        for list in absent {
            object["spec"]["template"]["spec"]["containers"][1][list] = Value::Null;
        }
        let template = RawValue::from_string(object["spec"]["template"].to_string()).unwrap();
        for spec in stock_targets() {
            let read = object::container(&template, &spec.container).unwrap();
            prop_assert_eq!(read, ObservedTarget::read(&object, &spec).container);
        }
    }

    #[test]
    fn reviewing_twice_is_reviewing_once(object in any_deployment(), before in prop::option::of(any_deployment())) {
        let once = stored(&object, before.as_ref());
        prop_assert_eq!(stored(&once, before.as_ref()), once);
    }

    #[test]
    fn without_annotations_nothing_is_patched(mut object in any_deployment()) {
        object["metadata"]["annotations"] = json!({"example.com/x": "y"});
        prop_assert_eq!(reviewed(DEPLOYMENTS, "x", &object, None), None);
    }

    #[test]
    fn only_the_end_of_a_list_changes(object in any_deployment()) {
        let once = stored(&object, None);
        for list in ["env", "args", "command"] {
            let of = |object: &Value| object["spec"]["template"]["spec"]["containers"][1][list].as_array().cloned();
            let (was, is) = (of(&object).unwrap_or_default(), of(&once).unwrap_or_default());
            prop_assert!(is.starts_with(&was), "{list}: {was:?} became {is:?}");
        }
    }

    /// A stock operator has a change of its own: with what is given back to it, the manager has nothing to write.
    #[test]
    fn the_plan_has_no_changes_after_a_restored_entry(
        mirrors in prop::collection::vec(("[ab]\\.example", prop::collection::vec("[mn]\\.example/[xy]", 1..3), any::<bool>()), 0..4),
        foreign in prop::option::of(Just("zz.example=other.example")),
    ) {
        let texts: Vec<Vec<&str>> = mirrors.iter().map(|(_, mirrors, _)| mirrors.iter().map(String::as_str).collect()).collect();
        let entries: Vec<(&str, &[&str], bool)> =
            mirrors.iter().zip(&texts).map(|((source, _, strict), mirrors)| (source.as_str(), mirrors.as_slice(), *strict)).collect();
        let mut world = World::new(&idms(&entries), foreign.unwrap_or("="));
        world.deployments = world.deployments.into_iter().map(stock_managed).collect();
        world.handover_over = true;
        let stock = world.deployments.clone();
        for _ in 0..2 {
            let plan = world.plan(None);
            world.apply(&plan);
        }
        for (deployment, stock) in world.deployments.iter_mut().zip(stock) {
            let mut update = renewed(stock);
            update["metadata"] = deployment["metadata"].clone();
            *deployment = stored(&update, Some(deployment));
        }
        let plan = world.plan(None);
        prop_assert!(plan.planned().all(|target| target.patch.is_none()), "{plan:#?}");
    }

    /// The hypershift operator is restarted with other flags: what the children are given back is what the manager wants.
    #[test]
    fn the_plan_has_no_changes_after_carried_foreign_entries(
        flags in prop::collection::vec(prop::sample::subsequence(vec!["x.example=m", "y.example=m", "z.example=m"], 0..=3), 2..4),
        ordered in any::<bool>(),
    ) {
        let mirrors: &[&str] = if ordered { &["n.example", "m.example"] } else { &["m.example"] };
        let stock = |flags: &[&str]| {
            let sorted: Vec<String> = { let mut mirrors = mirrors.to_vec(); mirrors.sort_unstable(); mirrors.iter().map(|mirror| format!("a.example={mirror}")).collect() };
            child(&sorted.join(","), &if flags.is_empty() { "=".to_owned() } else { flags.join(",") })
        };
        let mut world = World::new(&idms(&[("a.example", mirrors, false)]), "=");
        world.handover_over = true;
        world.deployments[1] = stock_managed(stock(&flags[0]));
        world.settle();
        for flags in &flags[1..] {
            let mut update = renewed(stock_managed(stock(flags)));
            update["metadata"] = world.deployments[1]["metadata"].clone();
            world.deployments[1] = stored(&update, Some(&world.deployments[1]));
            let plan = world.plan(None);
            let target = plan.targets[1].plan.as_ref().unwrap();
            prop_assert!(!target.restarts, "{:#?}\n{:#?}", env_of(&world.deployments[1]), target);
        }
    }
}
