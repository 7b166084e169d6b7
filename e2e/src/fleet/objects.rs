//! Objects that users create.

use anyhow::{Context, Result};
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::NAMESPACE;

/// One source with its mirrors and an optional policy.
pub type Entry<'a> = (&'a str, &'a [&'a str], Option<&'a str>);

fn entries(entries: &[Entry<'_>]) -> Vec<Value> {
    let entry = |(source, mirrors, policy): &Entry<'_>| match policy {
        Some(policy) => json!({"source": source, "mirrors": mirrors, "mirrorSourcePolicy": policy}),
        None => json!({"source": source, "mirrors": mirrors}),
    };
    entries.iter().map(entry).collect()
}

/// An ImageDigestMirrorSet.
pub fn idms(name: &str, list: &[Entry<'_>]) -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet",
        "metadata": {"name": name}, "spec": {"imageDigestMirrors": entries(list)}
    })
}

/// An ImageTagMirrorSet.
pub fn itms(name: &str, list: &[Entry<'_>]) -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageTagMirrorSet",
        "metadata": {"name": name}, "spec": {"imageTagMirrors": entries(list)}
    })
}

/// An ImageContentSourcePolicy.
pub fn icsp(name: &str, list: &[Entry<'_>]) -> Value {
    json!({
        "apiVersion": "operator.openshift.io/v1alpha1", "kind": "ImageContentSourcePolicy",
        "metadata": {"name": name}, "spec": {"repositoryDigestMirrors": entries(list)}
    })
}

/// A HostedCluster that is also valid with the stock CRD.
pub fn hosted_cluster(name: &str, sources: &[Entry<'_>]) -> Value {
    let service = |service: &str| json!({"service": service, "servicePublishingStrategy": {"type": "Route"}});
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "release": {"image": "quay.example/ocp/release:4.20.1"},
            "pullSecret": {"name": "pull-secret"},
            "platform": {"type": "None"},
            "networking": {
                "clusterNetwork": [{"cidr": "10.132.0.0/14"}], "serviceNetwork": [{"cidr": "172.31.0.0/16"}],
                "networkType": "OVNKubernetes"
            },
            "etcd": {
                "managementType": "Managed",
                "managed": {"storage": {"type": "PersistentVolume", "persistentVolume": {"size": "8Gi"}}}
            },
            "services": [service("APIServer"), service("OAuthServer"), service("Konnectivity"), service("Ignition")],
            "imageContentSources": entries(sources)
        }
    })
}

/// The report of a hosted cluster, by name.
pub fn report(cluster: &str) -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
        "metadata": {"name": cluster, "namespace": NAMESPACE}
    })
}

/// The map in a report, as an override value.
pub fn reported_map(report: &Value) -> String {
    let sources = report["sources"].as_array().into_iter().flatten();
    let pairs = sources.flat_map(|source| {
        let mirrors = [&source["digestMirrors"], &source["tagMirrors"]].into_iter().filter_map(Value::as_array);
        let name = source["source"].as_str().unwrap_or_default();
        mirrors.flatten().map(move |mirror| format!("{name}={}", mirror.as_str().unwrap_or_default()))
    });
    pairs.collect::<Vec<_>>().join(",")
}

/// The manager's Lease, by name.
pub fn lease() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "hypermirror-manager", "namespace": super::SYSTEM}
    })
}

/// The API resource of an object's kind. Only the plurals of kinds that scenarios use are known.
///
/// # Errors
///
/// If the object has no kind or version.
pub fn resource_of(object: &Value) -> Result<ApiResource> {
    let kind = object["kind"].as_str().context("an object without a kind")?;
    let version = object["apiVersion"].as_str().context("an object without an apiVersion")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    Ok(match kind {
        "HostedClusterMirrors" => ApiResource::from_gvk_with_plural(&gvk, "hostedclustermirrors"),
        _ => ApiResource::from_gvk(&gvk),
    })
}
