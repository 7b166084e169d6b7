use serde_json::json;

use super::super::fixtures::deployment;
use super::super::target::stock_targets;
use super::*;

#[test]
fn the_three_forms_of_the_argument_are_found() {
    for (spec, split, index) in stock_targets().iter().zip([false, true, true]).map(|(spec, split)| (spec, split, 1)) {
        let container = ObservedTarget::read(&deployment(spec, &["="], Some("a=b")), spec).container.unwrap();
        let [argument] = container.arguments.as_slice() else { panic!("{container:?}") };
        assert_eq!((argument.form.split, argument.index, argument.value.as_str()), (split, index, "a=b"), "{spec:?}");
        assert_eq!(argument.form.list, spec.form.list);
    }
}

#[test]
fn the_empty_argument_of_the_parent_is_a_value() {
    let spec = &stock_targets()[0];
    let container = ObservedTarget::read(&deployment(spec, &["="], Some("=")), spec).container.unwrap();
    assert_eq!(container.arguments[0].value.as_str(), "=");
}

#[test]
fn a_container_is_found_by_its_name_and_its_env_by_position() {
    let spec = &stock_targets()[1];
    let container = ObservedTarget::read(&deployment(spec, &["=", "a=b"], None), spec).container.unwrap();
    assert_eq!(container.index, 1);
    let env: Vec<_> = container.env.iter().map(|entry| (entry.index, entry.value.as_str())).collect();
    assert_eq!(env, [(1, "="), (2, "a=b")]);
    assert!(container.arguments.is_empty());
}

#[test]
fn appended_values_do_not_change_the_digest_and_all_others_do() {
    let spec = &stock_targets()[1];
    let digest = |deployment: &Value| ObservedTarget::read(deployment, spec).stock_digest;
    let stock = deployment(spec, &["="], Some("="));
    let mut with_ours = deployment(spec, &["=", "a=b"], Some("="));
    let args = with_ours["spec"]["template"]["spec"]["containers"][1]["args"].as_array_mut().unwrap();
    args.extend([json!("--registry-overrides"), json!("a=b")]);
    assert_eq!(digest(&with_ours), digest(&stock));
    let mut changed = stock.clone();
    changed["spec"]["replicas"] = json!(2);
    assert_ne!(digest(&changed), digest(&stock));
    assert_ne!(digest(&deployment(spec, &["x=y"], Some("="))), digest(&stock));
}

#[test]
fn a_single_variable_counts_as_appended_if_it_equals_the_annotation() {
    let spec = &stock_targets()[0];
    let digest = |deployment: &Value| ObservedTarget::read(deployment, spec).stock_digest;
    let mut with_ours = deployment(spec, &["a=b"], Some("="));
    with_ours["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": "a=b"});
    assert_eq!(digest(&with_ours), digest(&deployment(spec, &[], Some("="))));
}

#[test]
fn stock_operators_are_known_by_their_hash_and_by_their_names() {
    let spec = &stock_targets()[0];
    let mut by_manager = deployment(spec, &["="], None);
    assert!(!ObservedTarget::read(&by_manager, spec).stock_managed);
    by_manager["metadata"]["managedFields"] = json!([
        {"manager": "hypermirror", "operation": "Update", "time": "2026-01-03T00:00:00Z"},
        {"manager": "hypershift-operator-manager", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
        {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-01-04T00:00:00Z"},
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z"}
    ]);
    let observed = ObservedTarget::read(&by_manager, spec);
    assert!(observed.stock_managed);
    assert_eq!(observed.last_writer.as_deref(), Some("kubectl-edit"));
}

#[test]
fn anything_may_be_missing() {
    let spec = &stock_targets()[0];
    for broken in
        [json!(null), json!({}), json!({"spec": 3}), json!({"spec": {"template": {"spec": {"containers": [{}]}}}})]
    {
        assert_eq!(ObservedTarget::read(&broken, spec).container, None, "{broken}");
    }
    let value_from = json!({"spec": {"template": {"spec": {"containers": [{
        "name": spec.container, "env": [{"name": "OPENSHIFT_IMG_OVERRIDES", "valueFrom": {}}], "args": ["--registry-overrides"]
    }]}}}});
    let container = ObservedTarget::read(&value_from, spec).container.unwrap();
    assert_eq!(container.env[0].value.as_str(), "");
    assert!(container.arguments.is_empty(), "a flag without its value is none");
}

#[test]
fn a_deployment_is_rolled_out_when_all_that_is_wanted_is_new_and_available() {
    let rolled_out = |spec: Value, status: Value| {
        is_rolled_out(&json!({"metadata": {"generation": 3}, "spec": spec, "status": status}))
    };
    let status = |seen: i64, replicas: i64, updated: i64, available: i64| json!({"observedGeneration": seen, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available});
    assert!(rolled_out(json!({"replicas": 2}), status(3, 2, 2, 2)));
    assert!(rolled_out(json!({}), status(4, 1, 1, 1)), "one is the default");
    assert!(rolled_out(json!({"replicas": 0}), json!({"observedGeneration": 3})), "scaled to nothing");
    for (what, spec, status) in [
        ("not seen", json!({"replicas": 1}), status(2, 1, 1, 1)),
        ("not updated", json!({"replicas": 2}), status(3, 2, 1, 2)),
        ("not available", json!({"replicas": 2}), status(3, 2, 2, 1)),
        ("an old one left", json!({"replicas": 2}), status(3, 3, 2, 2)),
        ("paused", json!({"replicas": 1, "paused": true}), status(3, 1, 1, 1)),
        ("never looked at", json!({"replicas": 1}), json!({})),
    ] {
        assert!(!rolled_out(spec, status), "{what}");
    }
}
