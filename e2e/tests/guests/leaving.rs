//! What is ours goes: nodes first, then the guest, then the control plane.

use anyhow::{Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use serde_json::json;

use super::stage::{Stage, awaits, found, name, object};

const A: &str = "registry.example/a";

#[tokio::test]
async fn removal_from_a_hosted_cluster_runs_in_order() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "a").await?;
    node.wait_for_text("mirror.example/one").await?;
    stage.condition(0, "NodesUpToDate", "True", "AsExpected").await?;
    stage.fleet().reads(&[&name(0)], &format!("{A}=mirror.example/one")).await?;
    let cluster = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": name(0), "namespace": NAMESPACE}
    });
    let leave = json!({"metadata": {"annotations": {"hypermirror.dev/uninstall": "true"}}});
    stage.fleet().merge(&cluster, &leave).await?;
    node.has_no_file().await?;
    for gone in [
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "nodemirrorsets.hypermirror.dev"),
        object("rbac.authorization.k8s.io/v1", "ClusterRole", "hypermirror-agent"),
    ] {
        awaits(&stage.guests[0], &gone, false).await?;
    }
    eventually(SOON, "the control plane has nothing of ours, and the report is gone", async || {
        let values = stage.fleet().effective_values(&name(0)).await?;
        ensure!(values.values().all(|value| value.as_deref() == Some("=")), "{values:?}");
        ensure!(stage.fleet().report(&name(0)).await.is_err(), "the report is there");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_unreachable_guest_is_skipped_after_the_timeout_and_reported_until_it_is_clean() -> Result<()> {
    let stage = Stage::populated(2, &[(A, &["mirror.example/one"], None)]).await?;
    let launch = stage.launch("manager").arg("--leave-timeout=3s");
    let _manager = launch.start_ready(stage.scene.management()).await?;
    for guest in [0, 1] {
        stage.condition(guest, "GuestSynced", "True", "AsExpected").await?;
    }
    // Another one never came up: it has nothing of ours, and holds up nobody.
    stage.hosted_cluster(2, &[(A, &["mirror.example/one"], None)]).await?;
    stage.secret(2, "hcco-kubeconfig", "none").await?;
    stage.condition(2, "GuestSynced", "False", "KubeconfigRefused").await?;
    stage.cluster(0).stop_api_server().await?;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "hypermirror-manager", "namespace": "hypermirror-system"}
    });
    let request = json!({"metadata": {"annotations": {"hypermirror.dev/uninstall": "true"}}});
    stage.fleet().merge(&lease, &request).await?;
    for guest in [1, 2, 0] {
        stage.fleet().reads(&[&name(guest)], "=").await?;
    }
    let message = stage.condition(0, "GuestSynced", "False", "LeftBehind").await?;
    ensure!(message.contains("its nodes keep their mirrors and agents"), "{message}");
    eventually(SOON, "the reports of the others are gone", async || {
        ensure!(stage.fleet().report(&name(1)).await.is_err() && stage.fleet().report(&name(2)).await.is_err());
        Ok(Some(()))
    })
    .await?;
    ensure!(stage.fleet().report(&name(0)).await.is_ok(), "what is kept stays on record");
    stage.cluster(0).start_api_server().await?;
    eventually(SOON, "the guest is clean, and its report is gone", async || {
        let crd = object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "nodemirrorsets.hypermirror.dev");
        ensure!(found(&stage.guests[0], &crd).await?.is_none(), "the CRD is there");
        ensure!(stage.fleet().report(&name(0)).await.is_err(), "the report is there");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_hosted_cluster_that_wants_nothing_on_its_nodes_keeps_its_control_plane() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "a").await?;
    node.wait_for_text("mirror.example/one").await?;
    let cluster = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": name(0), "namespace": NAMESPACE}
    });
    let off = json!({"metadata": {"annotations": {"hypermirror.dev/node-delivery": "None"}}});
    stage.fleet().merge(&cluster, &off).await?;
    node.has_no_file().await?;
    awaits(&stage.guests[0], &object("rbac.authorization.k8s.io/v1", "ClusterRole", "hypermirror-agent"), false)
        .await?;
    stage.fleet().reads(&[&name(0)], &format!("{A}=mirror.example/one")).await?;
    let set = object("hypermirror.dev/v1alpha1", "NodeMirrorSet", "cluster");
    awaits(&stage.guests[0], &set, false).await?;
    let agent = json!({"metadata": {"annotations": {"hypermirror.dev/node-delivery": "Agent"}}});
    stage.fleet().merge(&cluster, &agent).await?;
    awaits(&stage.guests[0], &set, true).await
}
