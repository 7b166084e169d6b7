use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::*;

/// The manifests with roles of processes on the management cluster.
const MANIFESTS: [&str; 7] = [
    "base/rbac.yaml",
    "components/webhook/rbac.yaml",
    "components/admission-policy/rbac.yaml",
    "overlays/rollout-delivery/rbac.yaml",
    "components/registry-manager/rbac.yaml",
    "components/image-builder/rbac.yaml",
    "overlays/import/rbac.yaml",
];

fn role(name: &str) -> ShippedRole {
    shipped_roles().into_iter().find(|role| role.name == name).unwrap()
}

/// The roles in the manifests that a binding in the same file binds to a ServiceAccount.
fn in_manifests() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut found = Vec::new();
    for file in MANIFESTS {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let documents: Vec<Value> =
            serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect();
        let kind = |value: &Value| value["kind"].as_str().unwrap_or_default().to_owned();
        let bound: BTreeMap<(String, String), String> = documents
            .iter()
            .filter(|document| kind(document).ends_with("Binding"))
            .map(|binding| {
                let of = &binding["roleRef"];
                let [subject] = binding["subjects"].as_array().unwrap().as_slice() else { panic!("{binding}") };
                assert_eq!(subject["namespace"], ACCOUNTS_NAMESPACE);
                let account = subject["name"].as_str().unwrap().to_owned();
                ((kind(of), of["name"].as_str().unwrap().to_owned()), account)
            })
            .collect();
        for document in documents.iter().filter(|document| kind(document).ends_with("Role")) {
            let name = document["metadata"]["name"].as_str().unwrap().to_owned();
            let Some(account) = bound.get(&(kind(document), name.clone())) else { continue };
            found.push(json!({
                "kind": kind(document), "name": name, "namespace": document["metadata"]["namespace"],
                "account": account, "rules": document["rules"]
            }));
        }
    }
    found
}

#[test]
fn the_roles_are_those_of_the_manifests() {
    let expected = in_manifests();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnosis/rights/roles.json");
    if std::env::var_os("HYPERMIRROR_WRITE_ROLES").is_some() {
        let text = serde_json::to_string_pretty(&expected).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let roles: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        roles == expected,
        "{} is not up to date: run HYPERMIRROR_WRITE_ROLES=1 cargo test --lib the_roles_are_those_of_the_manifests",
        path.display()
    );
    assert_eq!(shipped_roles().len(), expected.len());
}

#[test]
fn a_role_is_every_request_that_it_allows() {
    let manager = role("hypermirror-manager");
    let accesses = manager.accesses();
    let secrets: Vec<_> = accesses.iter().filter(|access| access.resource == "secrets").collect();
    assert_eq!(secrets.len(), 9, "three names, three verbs");
    assert!(secrets.iter().all(|access| !access.name.is_empty() && access.group.is_empty()));
    let status = accesses.iter().find(|access| access.subresource == "status").unwrap();
    assert_eq!((&*status.group, &*status.resource), ("hypermirror.dev", "hostedclustermirrors"));
    let of_namespace = shipped_roles().into_iter().find(|role| role.kind == "Role").unwrap();
    assert!(of_namespace.accesses().iter().all(|access| access.namespace.as_deref() == Some(ACCOUNTS_NAMESPACE)));
}

#[test]
fn a_role_is_needed_by_what_is_installed() {
    let words = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect());
    let manager = Installation { manager: words(&["manager"]), ..Installation::default() };
    let registry = Installation { registry_manager: words(&["registry-manager"]), ..Installation::default() };
    for (name, installation, expected) in [
        ("hypermirror-manager", Installation::default(), false),
        ("hypermirror-manager", manager.clone(), true),
        ("hypermirror-manager-webhook", manager.clone(), false),
        ("hypermirror-manager-webhook", Installation { manager: words(&["--webhook=serve"]), ..manager.clone() }, true),
        ("hypermirror-manager-admission-policy", manager.clone(), false),
        ("hypermirror-manager-admission-policy", Installation { has_policy: true, ..manager.clone() }, true),
        ("hypermirror-manager-rollout-delivery", Installation { has_rollout_delivery: true, ..manager.clone() }, true),
        ("hypermirror-registry-manager", manager, false),
        ("hypermirror-registry-manager", registry.clone(), true),
        ("hypermirror-image-builder", registry.clone(), false),
        (
            "hypermirror-image-builder",
            Installation { registry_manager: words(&["--image-builder"]), ..registry.clone() },
            true,
        ),
        (
            "hypermirror-import-rules",
            Installation { registry_manager: words(&["FEATURE_COPY_ON_THE_FLY=true"]), ..registry.clone() },
            true,
        ),
        ("hypermirror-import-pods", registry, false),
    ] {
        assert_eq!(installation.needs(&role(name)), expected, "{name} {installation:?}");
    }
}

#[test]
fn missing_verbs_of_one_resource_are_one_row() {
    let manager = role("hypermirror-manager");
    let denied: Vec<Access> =
        manager.accesses().into_iter().filter(|access| ["nodepools", "events"].contains(&&*access.resource)).collect();
    let found = manager.diagnose_account(&denied);
    let values: Vec<&str> = found.iter().map(|found| &*found.value).collect();
    assert_eq!(values, ["create, patch events.events.k8s.io", "get, list, watch nodepools.hypershift.openshift.io"]);
    assert!(found.iter().all(|found| found.object == "ClusterRole/hypermirror-manager"));
    assert!(manager.diagnose_account(&[]).is_empty());
    let found = manager.diagnose_installer(&denied).unwrap();
    assert_eq!((found.code, found.severity), (DiagnosisCode::InstallRightMissing, Severity::Warning));
    assert_eq!(manager.diagnose_installer(&[]), None);
}
