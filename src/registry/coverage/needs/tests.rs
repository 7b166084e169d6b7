use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn cluster(value: &serde_json::Value) -> HostedCluster {
    let mut object = json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": "west", "namespace": "clusters"}, "spec": {}});
    for (key, part) in value.as_object().unwrap() {
        object[key] = part.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn pool(name: &str, image: &str) -> PoolNeeds {
    let object = json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": name}, "spec": {"clusterName": "west", "release": {"image": image}}});
    PoolNeeds::from(&serde_json::from_value::<NodePool>(object).unwrap())
}

fn names(consumers: &BTreeSet<Consumer>) -> Vec<&str> {
    consumers.iter().map(Consumer::name).collect()
}

fn releases(needs: &ClusterNeeds) -> Vec<(&str, &str, Vec<&str>)> {
    needs.releases.iter().map(|it| (it.image.as_str(), it.group.as_str(), names(&it.consumers))).collect()
}

fn payload(all: &[&str]) -> Vec<PayloadImage> {
    let image = |name: &&str| PayloadImage {
        name: (*name).to_owned(),
        image: ImageReference::parse(&format!("quay.io/art/{name}@{DIGEST}")).unwrap(),
    };
    all.iter().map(image).collect()
}

#[test]
fn releases_come_from_spec_history_and_pools_by_tag_and_by_digest() {
    let by_digest = format!("quay.io/ocp/release@{DIGEST}");
    let west = cluster(&json!({
        "spec": {"release": {"image": "quay.io/ocp/release:4.19.2"}},
        "status": {"version": {
            "history": [
                {"state": "Partial", "version": "", "image": "quay.io/ocp/release:4.19.2"},
                {"state": "Completed", "version": "4.19.1", "image": by_digest},
                {"state": "Completed", "version": "4.18.9", "image": "quay.io/ocp/release:4.18.9"},
            ],
            "availableUpdates": [{"version": "4.19.3", "image": "quay.io/ocp/release:u"}, {"version": "4.19.4", "image": null}],
        }},
    }));
    let edge = pool("edge", "quay.io/ocp/release:4.17.0");
    let needs = of_cluster(&west, &[edge]);
    let all = vec!["look-ups", "control-plane pods", "edge"];
    assert_eq!(
        releases(&needs),
        [
            ("quay.io/ocp/release:4.17.0", "release 4.17.0", vec!["edge"]),
            ("quay.io/ocp/release:4.19.2", "release 4.19.2", all.clone()),
            (by_digest.as_str(), "release 4.19.1", all.clone()),
        ]
    );
    let updates: Vec<_> = needs.updates.iter().map(|(version, it)| (version.as_str(), it.group.as_str())).collect();
    assert_eq!(updates, [("4.19.3", "release 4.19.3")], "an update without an image is none");
    assert_eq!(of_cluster(&cluster(&json!({})), &[]), ClusterNeeds::default());
}

#[test]
fn a_release_of_the_control_plane_is_pulled_by_no_node() {
    let west = cluster(&json!({
        "spec": {"release": {"image": "r.example/r:1"}, "controlPlaneRelease": {"image": "r.example/r:2"}},
        "status": {"controlPlaneVersion": {"history": [{"state": "Completed", "version": "3", "image": "r.example/r:3"}]}},
    }));
    let control_plane = vec!["look-ups", "control-plane pods"];
    assert_eq!(
        releases(&of_cluster(&west, &[])),
        [
            ("r.example/r:1", "release 1", vec!["nodes"]),
            ("r.example/r:2", "release 2", control_plane.clone()),
            ("r.example/r:3", "release 3", control_plane),
        ]
    );
}

#[test]
fn operators_look_up_a_part_of_the_payload_and_pods_pull_what_replaces_it() {
    let west = cluster(&json!({"metadata": {"name": "west", "annotations": {
        IMAGE_OVERRIDES: "etcd=mine.example/etcd:1,broken,=x", CONTROL_PLANE_OPERATOR_IMAGE: "mine.example/cpo:1",
    }}}));
    let needs = of_cluster(&west, &[]);
    assert_eq!(needs.others[0].image, "mine.example/cpo:1");
    let release = release("quay.io/ocp/release:4.19", consumers(&[]));
    let expanded = of_release(&release, &payload(&["etcd", "hypershift", "tools"]), &needs.overrides);
    let shown: Vec<_> = expanded.iter().map(|it| (it.name.as_str(), it.image.as_str(), names(&it.consumers))).collect();
    let image = |name: &str| format!("quay.io/art/{name}@{DIGEST}");
    let (etcd, hypershift, tools) = (image("etcd"), image("hypershift"), image("tools"));
    assert_eq!(
        shown,
        [
            ("", "quay.io/ocp/release:4.19", vec!["look-ups", "control-plane pods", "nodes"]),
            ("etcd", etcd.as_str(), vec!["nodes"]),
            ("etcd", "mine.example/etcd:1", vec!["control-plane pods"]),
            ("hypershift", hypershift.as_str(), vec!["look-ups", "control-plane pods", "nodes"]),
            ("tools", tools.as_str(), vec!["control-plane pods", "nodes"]),
        ]
    );
    assert!(expanded[0].is_release && !expanded[1].is_release);
}

#[test]
fn annotated_catalogs_are_needed_on_the_management_cluster() {
    let image = |name: &str| format!("mirror.example/{name}@{DIGEST}");
    let annotations = json!({
        "hypershift.openshift.io/certified-operators-catalog-image": image("certified"),
        "hypershift.openshift.io/community-operators-catalog-image": image("community"),
        "hypershift.openshift.io/redhat-operators-catalog-image": image("redhat"),
    });
    let needs = of_cluster(&cluster(&json!({"metadata": {"name": "west", "annotations": annotations}})), &[]);
    let found: Vec<_> = needs.others.iter().map(|it| (it.image.clone(), names(&it.consumers))).collect();
    let by = vec!["look-ups", "control-plane pods"];
    assert_eq!(found, [(image("certified"), by.clone()), (image("community"), by.clone()), (image("redhat"), by)]);
}

#[test]
fn a_list_that_names_an_image_twice_needs_it_once() {
    let by = BTreeSet::from([Consumer::Nodes(None)]);
    let needs = of_list("images", ["b".to_owned(), "a".to_owned(), "b".to_owned()], &by);
    assert_eq!(needs.iter().map(|it| it.image.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
