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

/// The objects of a kustomization, its components and its own patches applied.
fn objects(directory: &Path) -> Vec<Value> {
    kustomized(directory, Vec::new())
}

/// These objects with what a kustomization or a component adds, and their patches applied.
fn kustomized(directory: &Path, mut objects: Vec<Value>) -> Vec<Value> {
    let kustomization = documents(&directory.join("kustomization.yaml")).remove(0);
    for resource in kustomization["resources"].as_array().into_iter().flatten() {
        let path = directory.join(resource.as_str().unwrap());
        objects.extend(if path.is_dir() { kustomized(&path, Vec::new()) } else { documents(&path) });
    }
    for component in kustomization["components"].as_array().into_iter().flatten() {
        objects = kustomized(&directory.join(component.as_str().unwrap()), objects);
    }
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
    for (overlay, injected) in [
        ("webhook-cert-manager", "cert-manager.io/inject-ca-from"),
        ("webhook-service-ca", "service.beta.openshift.io/inject-cabundle"),
    ] {
        let objects = objects(&manifests().join("overlays").join(overlay));
        let configuration = named(&objects, "MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION);
        let service = named(&objects, "Service", names::WEBHOOK_SERVICE);
        assert!(configuration["metadata"]["annotations"][injected].is_string(), "{overlay}");
        for webhook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["failurePolicy"], "Ignore", "{webhook}");
            assert_eq!(webhook["sideEffects"], "None", "{webhook}");
            assert_eq!(webhook["timeoutSeconds"], 2, "{webhook}");
            let config = &webhook["clientConfig"];
            assert_eq!(config["service"]["name"], names::WEBHOOK_SERVICE);
            assert_eq!(config["service"]["path"], names::WEBHOOK_PATH);
            assert!(config.get("caBundle").is_none(), "whoever issues the certificate writes it");
        }
        let pod = &named(&objects, "Deployment", "hypermirror-manager")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let mount = &container["volumeMounts"][0];
        let directory = format!("--webhook-certificate-dir={}", mount["mountPath"].as_str().unwrap());
        assert!(args.contains(&"--webhook=serve") && args.contains(&directory.as_str()), "{args:?}");
        assert_eq!(mount["name"], pod["volumes"][0]["name"]);
        assert_eq!(pod["volumes"][0]["secret"]["secretName"], names::WEBHOOK_SECRET);
        let port = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == "webhook").unwrap();
        let target_port = &service["spec"]["ports"][0]["targetPort"];
        assert_eq!((&port["containerPort"], target_port), (&9443.into(), &"webhook".into()));
        assert!(verbs(&objects, "secrets", names::WEBHOOK_SECRET).is_empty(), "it is mounted, not read");
        let configurations = verbs(&objects, "mutatingwebhookconfigurations", names::WEBHOOK_CONFIGURATION);
        assert_eq!(configurations, ["get", "delete"]);
    }
}

#[test]
fn the_issued_certificate_is_the_one_that_is_mounted_and_trusted() {
    let of = |overlay: &str| objects(&manifests().join("overlays").join(overlay));
    let (cert_manager, service_ca) = (of("webhook-cert-manager"), of("webhook-service-ca"));
    let certificate = named(&cert_manager, "Certificate", names::WEBHOOK_SERVICE);
    assert_eq!(certificate["spec"]["secretName"], names::WEBHOOK_SECRET);
    let namespace = certificate["metadata"]["namespace"].as_str().unwrap();
    assert_eq!(certificate["spec"]["dnsNames"][0], format!("{}.{namespace}.svc", names::WEBHOOK_SERVICE));
    let configuration = named(&cert_manager, "MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION);
    let injected = format!("{namespace}/{}", names::WEBHOOK_SERVICE);
    assert_eq!(configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"], injected);
    let service = named(&service_ca, "Service", names::WEBHOOK_SERVICE);
    let key = "service.beta.openshift.io/serving-cert-secret-name";
    assert_eq!(service["metadata"]["annotations"][key], names::WEBHOOK_SECRET);
}

#[test]
fn only_deployments_of_hosted_control_planes_are_reviewed() {
    let policy = objects(&manifests().join("overlays/admission-policy"));
    let policy = named(&policy, "MutatingAdmissionPolicy", names::ADMISSION_POLICIES[0]);
    let webhook = objects(&manifests().join("overlays/webhook-service-ca"));
    let webhook = &named(&webhook, "MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION)["webhooks"][0];
    for selector in [&policy["spec"]["matchConstraints"]["namespaceSelector"], &webhook["namespaceSelector"]] {
        assert_eq!(selector["matchLabels"][names::CONTROL_PLANE_NAMESPACE_LABEL], "true", "{selector}");
    }
}

#[test]
fn the_base_alone_may_see_which_admission_is_installed_and_change_none() {
    let objects = objects(&manifests().join("base"));
    for (resource, name) in [
        ("mutatingwebhookconfigurations", names::WEBHOOK_CONFIGURATION),
        ("mutatingadmissionpolicies", names::ADMISSION_POLICIES[0]),
        ("mutatingadmissionpolicybindings", names::ADMISSION_POLICIES[0]),
    ] {
        assert_eq!(verbs(&objects, resource, name), ["get"], "{resource}");
    }
}

#[test]
fn the_policies_fail_open_and_the_manager_may_remove_them() {
    let objects = objects(&manifests().join("overlays/admission-policy"));
    for name in names::ADMISSION_POLICIES {
        assert_eq!(named(&objects, "MutatingAdmissionPolicy", name)["spec"]["failurePolicy"], "Ignore");
        assert_eq!(named(&objects, "MutatingAdmissionPolicyBinding", name)["spec"]["policyName"], name);
        for resource in ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"] {
            assert_eq!(verbs(&objects, resource, name).last(), Some(&"delete"));
        }
    }
    let spec = &named(&objects, "MutatingAdmissionPolicy", names::ADMISSION_POLICIES[0])["spec"];
    let condition = spec["matchConditions"].to_string();
    for target in hypermirror::hosted::target::stock_targets() {
        assert_eq!(target.deployment, target.container, "the policy takes one for the other");
        assert!(condition.contains(&format!("'{}'", target.deployment)), "{}", target.deployment);
    }
    let users =
        named(&objects, "MutatingAdmissionPolicy", names::ADMISSION_POLICIES[1])["spec"]["matchConditions"].to_string();
    assert!(users.contains(names::HYPERSHIFT_OPERATOR_USER));
}

#[test]
fn the_policy_of_rollout_delivery_has_the_text_that_the_manager_writes() {
    let objects = objects(&manifests().join("overlays/rollout-delivery"));
    let policy = named(&objects, "ValidatingAdmissionPolicy", "hypermirror-manager-config-maps");
    let variable = |name: &str| {
        let found = policy["spec"]["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
        found.unwrap()["expression"].as_str().unwrap().trim_matches('\'').to_owned()
    };
    let written = hypermirror::hosted::boot::config_map("clusters-a", "pool", "[[registry]]\n");
    let config = written["data"]["config"].as_str().unwrap();
    let rest = config.strip_prefix(&variable("head")).unwrap_or_else(|| panic!("another beginning: {config}"));
    let content = rest.strip_suffix(&variable("tail")).unwrap_or_else(|| panic!("another end: {config}"));
    assert!(content.chars().all(|char| char.is_ascii_alphanumeric() || "+/=".contains(char)), "{content}");
    assert_eq!(written["data"].as_object().unwrap().len(), 1);
}

#[test]
fn the_policies_of_the_base_apply_only_to_the_manager() {
    let objects = objects(&manifests().join("base"));
    let account = named(&objects, "ServiceAccount", "hypermirror-manager");
    let namespace = account["metadata"]["namespace"].as_str().unwrap();
    let condition = format!("request.userInfo.username == 'system:serviceaccount:{namespace}:hypermirror-manager'");
    for name in ["hypermirror-manager-hosted-clusters", "hypermirror-manager-deployments"] {
        let spec = &named(&objects, "ValidatingAdmissionPolicy", name)["spec"];
        assert_eq!(spec["failurePolicy"], "Fail");
        assert_eq!(spec["matchConditions"].as_array().unwrap().len(), 1);
        assert_eq!(spec["matchConditions"][0]["expression"], condition.as_str());
        let binding = &named(&objects, "ValidatingAdmissionPolicyBinding", name)["spec"];
        assert_eq!((&binding["policyName"], &binding["validationActions"][0]), (&name.into(), &"Deny".into()));
    }
}

#[test]
fn only_ports_that_are_served_are_reached() {
    let ports = |overlay: &str| -> Vec<String> {
        let objects = objects(&manifests().join(overlay));
        let deployment = named(&objects, "Deployment", "hypermirror-manager");
        let served = deployment["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().unwrap().clone();
        let policies = objects.iter().filter(|object| object["kind"] == "NetworkPolicy");
        let open = policies.flat_map(|policy| {
            assert_eq!(policy["spec"]["podSelector"], deployment["spec"]["selector"]);
            policy["spec"]["ingress"][0]["ports"].as_array().unwrap().iter().map(|port| port["port"].clone())
        });
        let open: Vec<String> = open.map(|port| port.as_str().unwrap().to_owned()).collect();
        assert!(open.iter().all(|port| served.iter().any(|served| served["name"] == port.as_str())), "{open:?}");
        open
    };
    assert_eq!(ports("base"), ["metrics", "health"]);
    assert_eq!(ports("overlays/webhook-service-ca"), ["metrics", "health", "webhook"]);
}

/// The formats in a schema, at any depth.
fn formats(schema: &Value) -> Vec<String> {
    let own = schema["format"].as_str().map(str::to_owned);
    let children: Vec<&Value> = match schema {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    own.into_iter().chain(children.into_iter().flat_map(formats)).collect()
}

/// Each other format makes the API server answer an apply of the CRD with a warning.
#[test]
fn api_servers_know_the_formats_of_the_crds() {
    for side in ["management", "guest"] {
        let crds = documents(&manifests().join(format!("crd/{side}.yaml")));
        let formats: Vec<String> = crds.iter().flat_map(formats).collect();
        assert!(!formats.is_empty());
        for format in formats {
            assert!(
                ["int32", "int64", "double", "date-time"].contains(&format.as_str()),
                "{side}.yaml has the format {format:?}"
            );
        }
    }
}
