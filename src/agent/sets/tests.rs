use serde_json::{Value, json};

use super::*;

fn set(name: &str, generation: i64, selector: &Value, mirror: &str) -> Set {
    let object = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet",
        "metadata": {"name": name, "uid": "u", "generation": generation},
        "spec": {
            "layer": "HostedCluster", "nodeSelector": selector,
            "digestMirrors": [{"source": "quay.io", "mirrors": [mirror]}]
        }
    });
    Set::of_nodes(&serde_json::from_value(object).unwrap())
}

fn node(labels: &Value) -> k8s_openapi::api::core::v1::Node {
    serde_json::from_value(json!({"metadata": {"name": "n", "uid": "n-uid", "labels": labels}})).unwrap()
}

fn mirrors(sets: &Sets) -> Vec<String> {
    sets.declared().entries.into_iter().flat_map(|entry| entry.mirrors).collect()
}

#[test]
fn only_sets_that_choose_the_node_count_and_labels_are_followed() {
    let mut sets = Sets::new(&[SetKind::Node]);
    let on = |pool: &str| json!({"matchLabels": {"pool": pool}});
    sets.replace(
        SetKind::Node,
        vec![set("x", 1, &on("x"), "x.io"), set("y", 1, &on("y"), "y.io"), set("all", 1, &json!(null), "a.io")],
    );
    assert_eq!(mirrors(&sets), ["a.io"], "before the labels are known");
    assert!(sets.set_node(&node(&json!({"pool": "x"}))));
    assert!(!sets.set_node(&node(&json!({"pool": "x"}))), "nothing new");
    assert_eq!(mirrors(&sets), ["a.io", "x.io"]);
    assert!(sets.set_node(&node(&json!({"pool": "y"}))));
    assert_eq!(sets.observed().iter().map(|set| &*set.name).collect::<Vec<_>>(), ["all", "y"]);
    assert_eq!(sets.node_uid(), Some("n-uid"));
}

#[test]
fn an_unreadable_revision_keeps_the_readable_one_and_is_not_observed() {
    let mut sets = Sets::new(&[SetKind::Node]);
    sets.replace(SetKind::Node, vec![set("a", 1, &json!(null), "old.io")]);
    let wrong = json!({"matchExpressions": [{"key": "k", "operator": "Sometimes"}]});
    assert!(sets.apply(SetKind::Node, set("a", 2, &wrong, "new.io")));
    assert_eq!(mirrors(&sets), ["old.io"]);
    assert!(sets.observed().is_empty());
    assert_eq!(sets.declared().malformed.len(), 1);
    assert!(sets.apply(SetKind::Node, set("a", 3, &json!(null), "new.io")));
    assert_eq!((mirrors(&sets), sets.observed()[0].generation), (vec!["new.io".to_owned()], 3));
}

#[test]
fn sets_of_other_nodes_are_ignored() {
    for (name, labels, counts) in [
        ("quay", json!({}), true),
        ("default", json!({}), false),
        ("a", json!({"hypershift.openshift.io/managed": "true"}), false),
        ("a", json!({"hypershift.openshift.io/managed": "false"}), true),
        ("a", json!({"hypermirror.dev/managed": ""}), false),
    ] {
        let object = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"mirrors": [{"source": "quay.io", "mirrors": ["m.io"]}]}
        });
        let mut sets = Sets::new(&[SetKind::PerNode]);
        sets.replace(SetKind::PerNode, vec![Set::of_per_node(&serde_json::from_value(object).unwrap())]);
        assert_eq!(mirrors(&sets).is_empty(), !counts, "{name} {labels}");
    }
}

#[test]
fn a_kind_is_unknown_until_its_first_list() {
    let mut sets = Sets::new(&[SetKind::Digest, SetKind::Tag]);
    assert_eq!(sets.declared().unknown_kinds, ["ImageDigestMirrorSet", "ImageTagMirrorSet"]);
    sets.replace(SetKind::Tag, Vec::new());
    assert_eq!(sets.declared().unknown_kinds, ["ImageDigestMirrorSet"]);
    assert_eq!(sets.take_change(), None, "an empty list is no change");
}

#[test]
fn a_list_without_a_known_object_is_noticed() {
    let mut sets = Sets::new(&[SetKind::Node]);
    let (a, b) = (set("a", 1, &json!(null), "a.io"), set("b", 1, &json!(null), "b.io"));
    sets.replace(SetKind::Node, vec![a.clone(), b.clone()]);
    assert!(sets.lacks_any(SetKind::Node, std::slice::from_ref(&a)));
    assert!(!sets.lacks_any(SetKind::Node, &[b, a.clone()]));
    assert!(sets.take_change().is_some() && sets.take_change().is_none());
    assert!(sets.replace(SetKind::Node, vec![a]) && sets.remove(SetKind::Node, "a") && mirrors(&sets).is_empty());
}

fn large(name: &str, mirrors: usize) -> Set {
    let source = |n: usize| json!({"source": format!("s.io/{n}"), "mirrors": ["m.io"]});
    let sources: Vec<Value> = (0..mirrors).map(source).collect();
    let object = json!({"metadata": {"name": name}, "spec": {"layer": "HostedCluster", "digestMirrors": sources}});
    Set::of_nodes(&serde_json::from_value(object).unwrap())
}

#[test]
fn more_mirrors_than_there_is_memory_for_are_not_kept_and_read_again_when_there_is_room() {
    let mut sets = Sets::new(&[SetKind::Node]);
    sets.replace(SetKind::Node, vec![large("a", KEPT_MIRRORS), large("b", 1)]);
    let declared = sets.declared();
    assert_eq!(declared.entries.len(), KEPT_MIRRORS);
    let why = declared.too_many.unwrap();
    assert_eq!(why, "5001 mirrors are declared for this node, which exceeds the agent's limit of 5000");
    assert!(!sets.can_keep_more());
    assert!(sets.apply(SetKind::Node, large("a", 10)), "an edition that is smaller");
    assert!(sets.can_keep_more());
    assert!(sets.apply(SetKind::Node, large("b", 1)), "what it says was not kept");
    assert_eq!((sets.declared().entries.len(), sets.declared().too_many, sets.can_keep_more()), (11, None, false));
}

#[test]
fn sets_of_other_nodes_are_dropped_and_read_again_when_the_labels_change() {
    let of_pool = |pool: &str| {
        let set = large(pool, KEPT_MIRRORS / 2 + 1);
        let selector: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector =
            serde_json::from_value(json!({"matchLabels": {"pool": pool}})).unwrap();
        Set { selector: Some(Selector::try_from(selector).unwrap()), ..set }
    };
    let mut sets = Sets::new(&[SetKind::Node]);
    sets.set_node(&node(&json!({"pool": "y"})));
    sets.replace(SetKind::Node, vec![of_pool("x"), of_pool("y"), of_pool("z")]);
    assert_eq!((mirrors(&sets).len(), sets.declared().too_many), (KEPT_MIRRORS / 2 + 1, None));
    sets.set_node(&node(&json!({"pool": "z"})));
    assert!(sets.can_keep_more());
    sets.replace(SetKind::Node, vec![of_pool("x"), of_pool("y"), of_pool("z")]);
    assert_eq!((mirrors(&sets).len(), sets.declared().too_many), (KEPT_MIRRORS / 2 + 1, None));
    assert!(!sets.can_keep_more());
}
