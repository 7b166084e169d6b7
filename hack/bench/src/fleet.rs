//! The fleet: hosted clusters, their targets of realistic size, and other Deployments.

use std::ops::Range;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hypermirror_e2e::fleet::objects::{self, Entry};
use hypermirror_e2e::fleet::{NAMESPACE, TARGETS, deployments};
use kube::Client;
use serde_json::{Value, json};

/// The part of the name of each first mirror that an edit changes.
pub fn generation(edit: usize) -> String {
    format!("generation-{edit:04}")
}

/// The mirror set after this number of edits.
pub fn mirror_set(sources: usize, edit: usize) -> Value {
    let names: Vec<(String, [String; 2])> = (0..sources)
        .map(|n| {
            let first = format!("mirror.example:8443/{}/organisation/repository-{n:04}", generation(edit));
            let second = format!("fallback.example:8443/organisation/repository-{n:04}");
            (format!("registry.example/organisation/repository-{n:04}"), [first, second])
        })
        .collect();
    let mirrors: Vec<[&str; 2]> = names.iter().map(|(_, [first, second])| [first.as_str(), second.as_str()]).collect();
    let entries: Vec<Entry<'_>> =
        names.iter().zip(&mirrors).map(|((source, _), mirrors)| (source.as_str(), &mirrors[..], None)).collect();
    objects::idms("fleet", &entries)
}

/// The name of a hosted cluster.
fn name(n: usize) -> String {
    format!("hosted-{n:05}")
}

/// Creates the hosted clusters with these numbers, each with other Deployments, and returns the number of objects.
///
/// # Errors
///
/// If the API server rejects one.
#[expect(clippy::print_stderr, reason = "a large fleet takes minutes")]
pub async fn create(client: &Client, clusters: Range<usize>, bystanders: usize) -> Result<usize> {
    let (end, count) = (clusters.end, clusters.len());
    let one = |n: usize| async move {
        let cluster = name(n);
        let namespace = deployments::namespace(&cluster);
        post(client, "/api/v1/namespaces", &deployments::namespace_of(&cluster)).await?;
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        for target in TARGETS {
            post(client, &path, &grown(deployments::target(&cluster, target, Some("="), "="))).await?;
        }
        for bystander in 0..bystanders {
            let deployment = deployments::target(&cluster, &format!("bystander-{bystander}"), None, "=");
            post(client, &path, &deployment).await?;
        }
        let path = format!("/apis/hypershift.openshift.io/v1beta1/namespaces/{NAMESPACE}/hostedclusters");
        post(client, &path, &objects::hosted_cluster(&cluster, &[])).await?;
        if n.is_multiple_of(100) {
            eprintln!("hosted cluster {n} of {end}");
        }
        Ok::<_, anyhow::Error>(())
    };
    stream::iter(clusters).map(one).buffer_unordered(32).try_collect::<Vec<_>>().await?;
    Ok(count * (2 + TARGETS.len() + bystanders))
}

/// A target with as many environment variables, volumes and mounts as a real one: about 10 kB.
fn grown(mut deployment: Value) -> Value {
    let pod = &mut deployment["spec"]["template"]["spec"];
    let volumes =
        (0..16).map(|n| json!({"name": format!("volume-{n}"), "secret": {"secretName": format!("secret-{n}")}}));
    pod["volumes"] = volumes.collect();
    let container = &mut pod["containers"][0];
    let mounts =
        (0..16).map(|n| json!({"name": format!("volume-{n}"), "mountPath": format!("/etc/kubernetes/secret-{n}")}));
    container["volumeMounts"] = mounts.collect();
    if let Some(env) = container["env"].as_array_mut() {
        let image = "quay.example/ocp/component@sha256:00000000000000000000000000000000000000000000000000000000000000";
        env.extend(
            (10..50).map(|n| json!({"name": format!("IMAGE_OF_COMPONENT_{n}"), "value": format!("{image}{n}")})),
        );
    }
    deployment
}

async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
    let request = request.body(serde_json::to_vec(object)?)?;
    client.request_text(request).await.with_context(|| format!("failed to create in {path}"))?;
    Ok(())
}
