//! The overlays fit what they are laid over: a patch by position must not meet another rule.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

use hypermirror_api::names;
use serde::Deserialize as _;
use serde_json::Value;

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The objects of a kustomization, its own patches applied.
fn objects(directory: &Path) -> Vec<Value> {
    let kustomization = documents(&directory.join("kustomization.yaml")).remove(0);
    let resources = kustomization["resources"].as_array().unwrap().iter();
    let mut objects: Vec<Value> = resources
        .flat_map(|resource| {
            let path = directory.join(resource.as_str().unwrap());
            if path.is_dir() { objects(&path) } else { documents(&path) }
        })
        .collect();
    for patch in kustomization["patches"].as_array().into_iter().flatten() {
        let target = &patch["target"];
        let parsed: Value = serde_yaml::from_str(patch["patch"].as_str().unwrap()).unwrap();
        if !parsed.is_array() {
            continue; // a merge cannot miss
        }
        let operations: json_patch::Patch = serde_json::from_value(parsed).unwrap();
        let mut found = 0;
        for object in &mut objects {
            let is_meant = |key: &str, value: &Value| target[key].is_null() || target[key] == *value;
            if is_meant("kind", &object["kind"]) && is_meant("name", &object["metadata"]["name"]) {
                json_patch::patch(object, &operations).unwrap();
                found += 1;
            }
        }
        assert_eq!(found, 1, "{} patches {target}", directory.display());
    }
    objects
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

#[test]
fn every_overlay_fits() {
    for overlay in std::fs::read_dir(manifests().join("overlays")).unwrap() {
        assert!(!objects(&overlay.unwrap().path()).is_empty());
    }
    assert!(!objects(&manifests().join("base")).is_empty());
}

#[test]
fn an_observer_may_write_nothing_but_reports() {
    let objects = objects(&manifests().join("overlays/observe"));
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole" && !object["rules"].is_null()).unwrap();
    for rule in role["rules"].as_array().unwrap() {
        let writes = rule["verbs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|verb| !["get", "list", "watch"].contains(&verb.as_str().unwrap()));
        let group = rule["apiGroups"][0].as_str().unwrap();
        assert!(!writes || ["hypermirror.dev", "events.k8s.io"].contains(&group), "{rule}");
    }
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Who may do what with objects of this name.
fn verbs<'a>(objects: &'a [Value], resource: &str, name: &str) -> Vec<&'a str> {
    let rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
    let holds = |list: &Value, text: &str| list.as_array().is_some_and(|list| list.iter().any(|entry| entry == text));
    let rules = rules.filter(|rule| holds(&rule["resources"], resource) && holds(&rule["resourceNames"], name));
    rules.flat_map(|rule| rule["verbs"].as_array().unwrap()).map(|verb| verb.as_str().unwrap()).collect()
}

#[test]
fn the_webhook_is_installed_under_the_names_that_the_manager_knows() {
    let objects = objects(&manifests().join("overlays/webhook"));
    let configuration = named(&objects, "MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION);
    let service = named(&objects, "Service", names::WEBHOOK_SERVICE);
    let secret = named(&objects, "Secret", names::WEBHOOK_SECRET);
    assert!(secret["data"].is_null(), "a Secret that is applied again must not lose what the manager wrote");
    for webhook in configuration["webhooks"].as_array().unwrap() {
        assert_eq!(webhook["failurePolicy"], "Ignore", "{webhook}");
        assert_eq!(webhook["sideEffects"], "None", "{webhook}");
        assert_eq!(webhook["timeoutSeconds"], 2, "{webhook}");
        let config = &webhook["clientConfig"];
        assert_eq!(config["service"]["name"], names::WEBHOOK_SERVICE);
        assert_eq!(config["service"]["path"], names::WEBHOOK_PATH);
        assert!(config.get("caBundle").is_none(), "the manager writes it");
    }
    let deployment = named(&objects, "Deployment", "hypermirror-manager");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert!(container["args"].as_array().unwrap().iter().any(|arg| arg == "--webhook=serve"));
    let port = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == "webhook").unwrap();
    assert_eq!((&port["containerPort"], &service["spec"]["ports"][0]["targetPort"]), (&9443.into(), &"webhook".into()));
    assert_eq!(verbs(&objects, "secrets", names::WEBHOOK_SECRET), ["get", "list", "watch", "patch"]);
    let configurations = verbs(&objects, "mutatingwebhookconfigurations", names::WEBHOOK_CONFIGURATION);
    assert_eq!(configurations, ["get", "list", "watch", "patch", "delete"]);
}

#[test]
fn the_policies_fail_open_and_may_be_taken_away_by_the_manager() {
    let objects = objects(&manifests().join("overlays/admission-policy"));
    for name in names::ADMISSION_POLICIES {
        assert_eq!(named(&objects, "MutatingAdmissionPolicy", name)["spec"]["failurePolicy"], "Ignore");
        assert_eq!(named(&objects, "MutatingAdmissionPolicyBinding", name)["spec"]["policyName"], name);
        for resource in ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"] {
            assert_eq!(verbs(&objects, resource, name), ["delete"]);
        }
    }
    let spec = &named(&objects, "MutatingAdmissionPolicy", names::ADMISSION_POLICIES[0])["spec"];
    let condition = spec["matchConditions"].to_string();
    for target in hypermirror::fleet::target::stock_targets() {
        assert_eq!(target.deployment, target.container, "the policy takes one for the other");
        assert!(condition.contains(&format!("'{}'", target.deployment)), "{}", target.deployment);
    }
    let users =
        named(&objects, "MutatingAdmissionPolicy", names::ADMISSION_POLICIES[1])["spec"]["matchConditions"].to_string();
    assert!(users.contains(names::HYPERSHIFT_OPERATOR_USER));
}
