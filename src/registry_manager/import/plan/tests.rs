use std::collections::BTreeSet;

use serde_json::json;

use super::super::super::image::settings::Rules;
use super::super::pods::FailingPod;
use super::*;
use crate::mirrors::{Layer, MirrorEntry, entry};

fn key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap();
    ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Rules by name: source, destination, and namespaces.
fn rules(list: &[(&str, &str, &str, &[&str])]) -> BTreeMap<ObjectKey, Rule> {
    let allowed = Rules { destinations: vec!["registry.corp".parse().unwrap()], ..Rules::default() };
    let rule = |(name, source, destination, namespaces): &(&str, &str, &str, &[&str])| {
        let spec = json!({
            "source": {"prefix": source}, "destination": {"prefix": destination}, "tags": ["1"], "namespaces": namespaces,
        });
        let consent = ["a=*", "b=*"].map(|text| text.parse().unwrap());
        let rule = Rule::of(&key(name).namespace, &serde_json::from_value(spec).unwrap(), &allowed, &consent);
        (key(name), rule.unwrap())
    };
    list.iter().map(rule).collect()
}

fn pods(list: &[(&str, &str, &str)]) -> BTreeMap<String, NamespacePods> {
    let mut found: BTreeMap<String, NamespacePods> = BTreeMap::new();
    for (namespace, name, image) in list {
        let pod = FailingPod { uid: "u".to_owned(), images: BTreeSet::from([(*image).to_owned()]) };
        found.entry((*namespace).to_owned()).or_default().insert((*name).to_owned(), pod);
    }
    found
}

fn shown(plan: &Plan) -> Vec<String> {
    let line = |(name, wanted): (&String, &Wanted)| format!("{} -> {name} by {}", wanted.source, wanted.rule);
    plan.wanted.iter().map(line).collect()
}

fn mirrored(source: &str, mirror: &str) -> NodeRules {
    let spec = json!({"imageTagMirrors": [{"source": source, "mirrors": [mirror]}]});
    let spec: hypermirror_api::mirror_sets::ImageTagMirrorSetSpec = serde_json::from_value(spec).unwrap();
    let entries: Vec<MirrorEntry> = entry::of_object("tags", &spec, Layer::Management);
    NodeRules::of_management(&entries).unwrap()
}

#[test]
fn what_many_pods_wait_for_is_imported_once() {
    let rules = rules(&[("a/one", "quay.io/acme", "registry.corp/acme", &["a"])]);
    let list: Vec<(&str, String, &str)> =
        (0..200).map(|place| ("a", format!("web-{place}"), "registry.corp/acme/app:1")).collect();
    let list: Vec<(&str, &str, &str)> =
        list.iter().map(|(namespace, name, image)| (*namespace, &**name, *image)).collect();
    let plan = plan(&pods(&list), &rules, &NodeRules::default());
    assert_eq!(shown(&plan), ["quay.io/acme/app -> registry.corp/acme/app:1 by a/one"]);
}

#[test]
fn the_place_from_which_a_node_pulls_decides_not_the_name_in_the_pod() {
    let rules = rules(&[("a/one", "quay.io/acme", "registry.corp/acme", &["a"])]);
    let mirrors = mirrored("quay.io/acme", "registry.corp/acme");
    let plan = plan(&pods(&[("a", "web", "quay.io/acme/app:1")]), &rules, &mirrors);
    assert_eq!(shown(&plan), ["quay.io/acme/app -> registry.corp/acme/app:1 by a/one"]);
    let without = super::plan(&pods(&[("a", "web", "quay.io/acme/app:1")]), &rules, &NodeRules::default());
    assert_eq!(shown(&without), Vec::<String>::new(), "no node pulls it from there");
}

#[test]
fn the_name_of_another_registry_is_never_looked_for_elsewhere() {
    let rules = rules(&[("a/one", "docker.io/foo", "registry.corp/hub/foo", &["a"])]);
    for image in ["registry.corp/foo/bar:1", "foo/bar:1", "other.corp/hub/foo/bar:1", "registry.corp/hub/foobar:1", "("]
    {
        let plan = plan(&pods(&[("a", "web", image)]), &rules, &NodeRules::default());
        assert_eq!(plan, Plan::default(), "{image}");
    }
    let plan = plan(&pods(&[("a", "web", "registry.corp/hub/foo/bar:1")]), &rules, &NodeRules::default());
    assert_eq!(shown(&plan), ["docker.io/foo/bar -> registry.corp/hub/foo/bar:1 by a/one"]);
}

#[test]
fn a_name_that_two_rules_cover_is_imported_by_neither_and_both_say_so() {
    let rules = rules(&[
        ("a/one", "quay.io/acme", "registry.corp/acme", &["a"]),
        ("b/two", "docker.io/evil", "registry.corp/acme/app", &["b"]),
    ]);
    let waiting = [("a", "web", "registry.corp/acme/app:1"), ("a", "other", "registry.corp/acme/tool:1")];
    let plan = plan(&pods(&waiting), &rules, &NodeRules::default());
    assert_eq!(shown(&plan), ["quay.io/acme/tool -> registry.corp/acme/tool:1 by a/one"], "other names are imported");
    assert_eq!(plan.overlaps.keys().cloned().collect::<Vec<_>>(), [key("a/one"), key("b/two")]);
    let message = &plan.overlaps[&key("a/one")];
    assert_eq!(message, "registry.corp/acme/app:1 is not imported: ImportRule b/two covers it, too");
}

#[test]
fn pods_of_other_namespaces_do_not_count() {
    let rules = rules(&[("a/one", "quay.io/acme", "registry.corp/acme", &["a", "c"])]);
    let image = "registry.corp/acme/app:1";
    assert_eq!(plan(&pods(&[("b", "web", image)]), &rules, &NodeRules::default()), Plan::default());
    let plan = plan(&pods(&[("b", "web", image), ("c", "web", image)]), &rules, &NodeRules::default());
    assert_eq!(plan.wanted[image].pod.namespace, "c");
}
