//! The overlays fit what they are laid over: a patch by position must not meet another rule.
#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

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
