//! Two HostedClusters whose names lead to one control-plane namespace.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::{Entry, hosted_cluster};
use hypermirror_e2e::fleet::{SOON, TARGETS, deployments};
use hypermirror_e2e::{Fleet, Scene, eventually};
use serde_json::{Value, json};

const GOOD: &[Entry<'_>] = &[("s.example", &["good.example/s"], None)];
const BETTER: &[Entry<'_>] = &[("s.example", &["better.example/s"], None)];
const EVIL: &[Entry<'_>] = &[("s.example", &["evil.example/s"], None)];
const VALUE: &str = "s.example=good.example/s";
const BETTER_VALUE: &str = "s.example=better.example/s";

/// `clusters-a/b`, with mirrors that `clusters/a-b` must never get.
fn attacker() -> Value {
    let mut cluster = hosted_cluster("b", EVIL);
    cluster["metadata"]["namespace"] = json!("clusters-a");
    cluster
}

fn control_plane() -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedControlPlane",
        "metadata": {"name": "a-b", "namespace": "clusters-a-b"}
    })
}

async fn report_of_attacker(fleet: &Fleet) -> Result<Option<Value>> {
    let report = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
        "metadata": {"name": "b", "namespace": "clusters-a"}
    });
    let found = fleet.api_of(&report)?.get_opt("b").await?;
    Ok(found.map(|found| found.data.get("status").cloned().unwrap_or_default()))
}

/// Waits until the attacker is refused; nothing that it reads names the other one.
async fn is_refused(fleet: &Fleet) -> Result<()> {
    eventually(SOON, "the second claimant is refused", async || {
        let status = report_of_attacker(fleet).await?.context("no report")?;
        for kind in ["ControlPlaneUpToDate", "GuestSynced", "Ready"] {
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let found = conditions.find(|condition| condition["type"] == kind).context(kind)?;
            ensure!(found["status"] == "False" && found["reason"] == "NamespaceClaimedTwice", "{found}");
        }
        ensure!(!status.to_string().contains("clusters/a-b"), "{status}");
        ensure!(!status.to_string().contains("good.example"), "{status}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_claimed_control_plane_namespace_of_another_cluster_is_not_touched() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a-b", GOOD, "=").await?;
    fleet.control_plane("a-b", "127.0.0.1", 6443).await?;
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clusters-a"}})).await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a-b"], VALUE).await?;
    fleet.condition("a-b", "ControlPlaneUpToDate", "True", "AsExpected").await?;

    // The HostedControlPlane names the owner: the other one gets nothing, and takes nothing away.
    let mark = scene.audit.mark().await?;
    fleet.apply(&attacker()).await?;
    is_refused(fleet).await?;
    let uninstall = json!({"metadata": {"annotations": {"hypermirror.dev/uninstall": "true"}}});
    fleet.merge(&attacker(), &uninstall).await?;
    eventually(SOON, "it has nothing to leave", async || Ok(report_of_attacker(fleet).await?.is_none().then_some(())))
        .await?;
    assert!(scene.patches(mark).await?.is_empty(), "the owner's control plane was touched");
    fleet.condition("a-b", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    assert!(
        manager.process.log()?.contains("belongs to HostedCluster clusters/a-b"),
        "the administrator's log names both"
    );

    // Nobody is named: neither is served.
    fleet.delete(&control_plane()).await?;
    let message = fleet.condition("a-b", "ControlPlaneUpToDate", "False", "NamespaceClaimedTwice").await?;
    assert!(!message.contains("clusters-a/b"), "{message}");
    is_refused(fleet).await?;
    fleet.apply(&hosted_cluster("a-b", BETTER)).await?;
    let generation = |report: &Value| report["hostedClusterGeneration"] == 2;
    fleet.wait_for_report("a-b", "the edit", generation).await?;
    assert!(scene.patches(mark).await?.is_empty(), "nobody may be served");

    // Who stays is followed again, its Deployments too.
    fleet.delete(&attacker()).await?;
    fleet.reads(&["a-b"], BETTER_VALUE).await?;
    fleet.condition("a-b", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    let target = deployments::target("a-b", TARGETS[1], Some("="), "=");
    fleet.delete(&target).await?;
    fleet.apply(&target).await?;
    fleet.reads(&["a-b"], BETTER_VALUE).await
}
