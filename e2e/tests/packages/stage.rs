//! What the scenarios of packages share: a fleet on which nothing of hypermirror is installed, and the API server's word on pods.

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::NAMESPACE;
use hypermirror_e2e::{Cluster, Crds, Fleet};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

/// A cluster with the kinds of HyperShift and OpenShift, and the namespace of HostedClusters.
pub async fn fleet(cluster: &Cluster) -> Result<Fleet> {
    let fleet = Fleet { client: cluster.admin_client().await? };
    Crds::of_the_fleet()?.install(&fleet.client).await?;
    namespace(&fleet, NAMESPACE, "privileged").await?;
    Ok(fleet)
}

/// A namespace for pods of this security level.
pub async fn namespace(fleet: &Fleet, name: &str, level: &str) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": level});
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    fleet.apply(&object).await.map(|_| ())
}

/// The pods of the Deployments in a namespace.
pub async fn pods(fleet: &Fleet, namespace: &str) -> Result<Vec<Value>> {
    let deployments: Api<Deployment> = Api::namespaced(fleet.client.clone(), namespace);
    let all = deployments.list(&ListParams::default()).await?;
    let specs = all.items.into_iter().filter_map(|one| one.spec?.template.spec);
    specs.map(|spec| Ok(json!({"spec": spec}))).collect()
}

/// The API server takes the pods in this namespace.
pub async fn allowed(fleet: &Fleet, namespace: &str, pods: Vec<Value>) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(fleet.client.clone(), namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for mut pod in pods {
        pod["metadata"] = json!({"name": "probe"});
        let text = pod.to_string();
        api.create(&dry_run, &serde_json::from_value(pod)?).await.with_context(|| text)?;
    }
    Ok(())
}
