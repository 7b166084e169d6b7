//! Reduced CRDs for the kinds of HyperShift and OpenShift that hypermirror reads, with the same names, scopes, subresources and
//! validation rules, and with only the fields that hypermirror uses. The files are in `e2e/crds`.

use anyhow::Result;
use serde_json::{Value, json};

/// A label of a domain name, from the patterns of the public API.
const LABEL: &str = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";

/// The files: name and YAML.
///
/// # Errors
///
/// If a CRD cannot be written as YAML.
pub fn files() -> Result<Vec<(String, String)>> {
    let crds = [
        hosted_cluster(),
        hosted_control_plane(),
        node_pool(),
        mirror_set("ImageDigestMirrorSet", "idms", "imageDigestMirrors"),
        mirror_set("ImageTagMirrorSet", "itms", "imageTagMirrors"),
        content_source_policy(),
    ];
    crds.iter().map(|crd| Ok((format!("{}.yaml", crd.plural), crd.yaml()?))).collect()
}

struct Crd {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: String,
    short_names: &'static [&'static str],
    namespaced: bool,
    spec: Value,
    status: Value,
    scale: Option<Value>,
    spec_is_required: bool,
}

impl Crd {
    fn hypershift(kind: &'static str, short_names: &'static [&'static str], spec: Value, status: Value) -> Self {
        let plural = format!("{}s", kind.to_lowercase());
        let (group, version) = ("hypershift.openshift.io", "v1beta1");
        Self {
            group,
            version,
            kind,
            plural,
            short_names,
            namespaced: true,
            spec,
            status,
            scale: None,
            spec_is_required: false,
        }
    }

    fn yaml(&self) -> Result<String> {
        let mut subresources = json!({ "status": {} });
        if let Some(scale) = &self.scale {
            subresources["scale"] = scale.clone();
        }
        let mut schema = object(&json!({ "spec": self.spec, "status": self.status }));
        if self.spec_is_required {
            schema = requiring(schema, &["spec"]);
        }
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{}", self.plural, self.group) },
            "spec": {
                "group": self.group,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.kind.to_lowercase(),
                    "shortNames": self.short_names,
                },
                "versions": [{
                    "name": self.version,
                    "served": true,
                    "storage": true,
                    "schema": { "openAPIV3Schema": schema },
                    "subresources": subresources,
                }],
            },
        });
        Ok(format!("# Generated: cargo run -p hypermirror-e2e --bin reduced-crds\n{}", serde_yaml::to_string(&crd)?))
    }
}

/// Without `spec.imageMirrorConfigRef`, which stock HyperShift does not have.
fn hosted_cluster() -> Crd {
    let mut infra_id = checked_text("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", 1, 253);
    immutable(&mut infra_id, "oldSelf == \"\" || self == oldSelf");
    let mut placement = catalog_placement();
    immutable(&mut placement, "self == oldSelf");
    let spec = object(&json!({
        "additionalTrustBundle": reference(),
        "configuration": anything(),
        "controlPlaneRelease": release(),
        "imageContentSources": image_content_sources(),
        "infraID": infra_id,
        // Not read, but required in manifests for the stock CRD.
        "etcd": anything(),
        "networking": anything(),
        "services": services(),
        "olmCatalogPlacement": placement,
        "pausedUntil": paused_until(4),
        "platform": anything(),
        "pullSecret": reference(),
        "release": release(),
    }));
    // The other two have defaults in the stock CRD.
    let spec = requiring(spec, &["platform", "pullSecret", "release", "services"]);
    let status = object(&json!({
        "conditions": conditions(),
        "customKubeconfig": reference(),
        "kubeadminPassword": reference(),
        "kubeconfig": reference(),
        "version": anything(),
    }));
    Crd::hypershift("HostedCluster", &["hc", "hcs"], spec, status)
}

fn hosted_control_plane() -> Crd {
    let short = || json!({ "type": "string", "maxLength": 255 });
    let key_reference = || requiring(object(&json!({ "name": short(), "key": short() })), &["key", "name"]);
    let endpoint = object(&json!({ "host": short(), "port": { "type": "integer", "format": "int32" } }));
    let endpoint = requiring(endpoint, &["host", "port"]);
    let spec = object(&json!({
        "additionalTrustBundle": reference(),
        "configuration": anything(),
        "controlPlaneReleaseImage": short(),
        "imageContentSources": image_content_sources(),
        "infraID": short(),
        "kubeconfig": key_reference(),
        "olmCatalogPlacement": catalog_placement(),
        "pausedUntil": short(),
        "platform": anything(),
        "pullSecret": reference(),
        "releaseImage": short(),
        // Not read, but required by the stock CRD.
        "dns": anything(),
        "etcd": anything(),
        "issuerURL": short(),
        "services": services(),
        "sshKey": reference(),
    }));
    let required =
        ["dns", "etcd", "infraID", "issuerURL", "platform", "pullSecret", "releaseImage", "services", "sshKey"];
    let spec = requiring(spec, &required);
    let status = object(&json!({
        "conditions": conditions(),
        "controlPlaneEndpoint": endpoint,
        "initialized": { "type": "boolean", "default": false },
        "kubeConfig": key_reference(),
        "ready": { "type": "boolean", "default": false },
        "versionStatus": anything(),
    }));
    let status = requiring(status, &["initialized", "ready"]);
    Crd::hypershift("HostedControlPlane", &["hcp", "hcps"], spec, status)
}

fn node_pool() -> Crd {
    let count = || json!({ "type": "integer", "format": "int32" });
    let mut cluster_name = checked_text("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", 1, 253);
    immutable(&mut cluster_name, "self == oldSelf");
    let spec = object(&json!({
        "clusterName": cluster_name,
        "config": { "type": "array", "items": reference(), "maxItems": 10 },
        "management": anything(),
        "pausedUntil": paused_until(1),
        "platform": anything(),
        "release": release(),
        "replicas": count(),
    }));
    let spec = requiring(spec, &["clusterName", "management", "platform", "release"]);
    let status = object(&json!({
        "conditions": node_pool_conditions(),
        "replicas": count(),
        "version": { "type": "string", "maxLength": 64 },
    }));
    let mut crd = Crd::hypershift("NodePool", &["np", "nps"], spec, status);
    crd.scale = Some(json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" }));
    crd
}

fn mirror_set(kind: &'static str, short_name: &str, list: &str) -> Crd {
    let host = format!(r"{LABEL}(?:(?:\.{LABEL})+)?(?::[0-9]+)?");
    let mirror = format!(r"^({host})(?:(?:/[a-z0-9]+(?:(?:(?:[._]|__|[-]*)[a-z0-9]+)+)?)+)?$");
    let source = format!(r"^\*(?:\.{LABEL})+$|{mirror}");
    let entry = json!({
        "type": "object",
        "required": ["source"],
        "properties": {
            "source": { "type": "string", "pattern": source },
            "mirrors": {
                "type": "array",
                "items": { "type": "string", "pattern": mirror },
                "x-kubernetes-list-type": "set",
            },
            "mirrorSourcePolicy": { "type": "string", "enum": ["NeverContactSource", "AllowContactingSource"] },
        },
    });
    let entries = json!({ "type": "array", "items": entry, "x-kubernetes-list-type": "atomic" });
    Crd {
        group: "config.openshift.io",
        version: "v1",
        kind,
        plural: format!("{}s", kind.to_lowercase()),
        short_names: if short_name == "idms" { &["idms"] } else { &["itms"] },
        namespaced: false,
        spec: object(&json!({ list: entries })),
        status: json!({ "type": "object" }),
        scale: None,
        spec_is_required: true,
    }
}

/// Without a pattern: this older kind accepts any text.
fn content_source_policy() -> Crd {
    let entry = json!({
        "type": "object",
        "required": ["source"],
        "properties": { "source": text(), "mirrors": { "type": "array", "items": text() } },
    });
    Crd {
        group: "operator.openshift.io",
        version: "v1alpha1",
        kind: "ImageContentSourcePolicy",
        plural: "imagecontentsourcepolicies".to_owned(),
        short_names: &[],
        namespaced: false,
        spec: object(&json!({ "repositoryDigestMirrors": { "type": "array", "items": entry } })),
        status: json!({ "type": "object" }),
        scale: None,
        spec_is_required: true,
    }
}

fn image_content_sources() -> Value {
    let text = || json!({ "type": "string", "maxLength": 255 });
    let mirrors = json!({ "type": "array", "items": text(), "maxItems": 255, "x-kubernetes-list-type": "set" });
    let entry = json!({
        "type": "object",
        "required": ["source"],
        "properties": { "source": text(), "mirrors": mirrors },
    });
    json!({ "type": "array", "items": entry, "maxItems": 255 })
}

fn catalog_placement() -> Value {
    json!({ "type": "string", "default": "management", "enum": ["management", "guest"] })
}

fn services() -> Value {
    json!({ "type": "array", "items": anything(), "maxItems": 6 })
}

fn release() -> Value {
    requiring(object(&json!({ "image": checked_text(r"self.matches('^(\\w+\\S+)$')", 1, 253) })), &["image"])
}

fn paused_until(least: u32) -> Value {
    let date =
        r"self.matches('^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}.*$') || self in ['true', 'false', 'True', 'False']";
    checked_text(date, least, 35)
}

/// A string with a CEL validation rule.
fn checked_text(rule: &str, least: u32, most: u32) -> Value {
    json!({ "type": "string", "minLength": least, "maxLength": most, "x-kubernetes-validations": [{ "rule": rule }] })
}

/// Adds a validation rule for changes.
fn immutable(field: &mut Value, rule: &str) {
    if let Some(rules) = field["x-kubernetes-validations"].as_array_mut() {
        rules.push(json!({ "rule": rule }));
    } else {
        field["x-kubernetes-validations"] = json!([{ "rule": rule }]);
    }
}

fn requiring(mut object: Value, fields: &[&str]) -> Value {
    object["required"] = fields.into();
    object
}

fn conditions() -> Value {
    let kind = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
    let reason = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";
    let mut conditions = listed_conditions(
        &json!({ "type": "string", "maxLength": 1024, "minLength": 1, "pattern": reason }),
        &json!({ "type": "string", "enum": ["True", "False", "Unknown"] }),
        &json!({ "type": "string", "maxLength": 316, "pattern": kind }),
    );
    conditions["x-kubernetes-list-type"] = "map".into();
    conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    conditions["items"]["required"] = json!(["lastTransitionTime", "message", "reason", "status", "type"]);
    conditions
}

/// The conditions of a NodePool have their own type with fewer required fields.
fn node_pool_conditions() -> Value {
    let text = |most: u32| json!({ "type": "string", "maxLength": most });
    let mut conditions = listed_conditions(&text(1024), &json!({ "type": "string" }), &text(316));
    conditions["items"]["required"] = json!(["lastTransitionTime", "status", "type"]);
    conditions
}

fn listed_conditions(reason: &Value, status: &Value, kind: &Value) -> Value {
    let items = object(&json!({
        "lastTransitionTime": { "type": "string", "format": "date-time" },
        "message": { "type": "string", "maxLength": 32768 },
        "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
        "reason": reason,
        "status": status,
        "type": kind,
    }));
    json!({ "type": "array", "maxItems": 100, "items": items })
}

/// A reference to a ConfigMap or Secret.
fn reference() -> Value {
    let mut reference = object(&json!({ "name": { "type": "string", "default": "" } }));
    reference["x-kubernetes-map-type"] = "atomic".into();
    reference
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn object(properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

/// A part that hypermirror preserves or ignores.
fn anything() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binaries::repository_root;

    #[test]
    fn the_committed_reduced_crds_are_current() {
        let directory = repository_root().join("e2e/crds");
        let files = files().unwrap();
        for (name, text) in &files {
            let committed = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
            assert_eq!(&committed, text, "{name}: cargo run -p hypermirror-e2e --bin reduced-crds");
        }
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), files.len(), "a file too many in e2e/crds");
    }
}
