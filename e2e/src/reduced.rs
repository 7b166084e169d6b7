//! Reduced CRDs of our own for the kinds of HyperShift and OpenShift that hypermirror reads: the same names, scopes,
//! subresources and rules, and only the fields that we use. `e2e/crds` holds them as files.

use anyhow::Result;
use serde_json::{Value, json};

/// A domain name label, as the public API's patterns have it.
const LABEL: &str = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";

/// The files: name and YAML.
///
/// # Errors
///
/// When a CRD cannot be written as YAML.
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
}

impl Crd {
    fn hypershift(kind: &'static str, short_names: &'static [&'static str], spec: Value, status: Value) -> Self {
        let plural = format!("{}s", kind.to_lowercase());
        let (group, version) = ("hypershift.openshift.io", "v1beta1");
        Self { group, version, kind, plural, short_names, namespaced: true, spec, status, scale: None }
    }

    fn yaml(&self) -> Result<String> {
        let mut subresources = json!({ "status": {} });
        if let Some(scale) = &self.scale {
            subresources["scale"] = scale.clone();
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
                    "schema": { "openAPIV3Schema": object(&json!({ "spec": self.spec, "status": self.status })) },
                    "subresources": subresources,
                }],
            },
        });
        Ok(format!("# Generated: cargo run -p hypermirror-e2e --bin reduced-crds\n{}", serde_yaml::to_string(&crd)?))
    }
}

/// `spec.imageMirrorConfigRef` is not in it: stock HyperShift has no such field.
fn hosted_cluster() -> Crd {
    let spec = object(&json!({
        "additionalTrustBundle": reference(),
        "configuration": anything(),
        "controlPlaneRelease": object(&json!({ "image": text() })),
        "imageContentSources": image_content_sources(),
        "infraID": text(),
        // Not read, but required by the stock CRD: a manifest for that one has to pass here, too.
        "etcd": anything(),
        "networking": anything(),
        "services": { "type": "array", "items": anything() },
        "olmCatalogPlacement": catalog_placement(),
        "pausedUntil": text(),
        "platform": anything(),
        "pullSecret": reference(),
        "release": object(&json!({ "image": text() })),
    }));
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
    let key_reference = || object(&json!({ "name": text(), "key": text() }));
    let endpoint = object(&json!({ "host": text(), "port": { "type": "integer", "format": "int32" } }));
    let spec = object(&json!({
        "additionalTrustBundle": reference(),
        "configuration": anything(),
        "controlPlaneReleaseImage": text(),
        "imageContentSources": image_content_sources(),
        "infraID": text(),
        "kubeconfig": key_reference(),
        "olmCatalogPlacement": catalog_placement(),
        "pausedUntil": text(),
        "platform": anything(),
        "pullSecret": reference(),
        "releaseImage": text(),
    }));
    let status = object(&json!({
        "conditions": conditions(),
        "controlPlaneEndpoint": endpoint,
        "kubeConfig": key_reference(),
        "ready": { "type": "boolean" },
        "versionStatus": anything(),
    }));
    Crd::hypershift("HostedControlPlane", &["hcp", "hcps"], spec, status)
}

fn node_pool() -> Crd {
    let count = || json!({ "type": "integer", "format": "int32" });
    let spec = object(&json!({
        "clusterName": text(),
        "config": { "type": "array", "items": reference(), "maxItems": 10 },
        "management": anything(),
        "pausedUntil": text(),
        "platform": anything(),
        "release": object(&json!({ "image": text() })),
        "replicas": count(),
    }));
    let status = object(&json!({ "conditions": conditions(), "replicas": count(), "version": text() }));
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
        status: anything(),
        scale: None,
    }
}

/// No pattern here: this older kind takes any text, which our rules have to live with.
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
        status: anything(),
        scale: None,
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
    json!({ "type": "string", "enum": ["management", "guest"] })
}

fn conditions() -> Value {
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "message": text(),
                "observedGeneration": { "type": "integer", "format": "int64" },
                "reason": text(),
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "type": text(),
            },
        },
    })
}

fn reference() -> Value {
    object(&json!({ "name": text() }))
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn object(properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

/// A part that we hand on or ignore.
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
