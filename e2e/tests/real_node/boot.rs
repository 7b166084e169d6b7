//! A node that boots has only the mirrors that it boots with.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::process::Signal;
use hypermirror_e2e::{eventually, needs_node, port};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};

use super::stage::{CLUSTER, Unreachable, agent_pod};

#[tokio::test]
async fn a_node_that_cannot_pull_the_agent_is_reported_with_the_kubelets_error_until_it_can() -> Result<()> {
    needs_node!();
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let stage = Unreachable::start(&source).await?;
    let message = stage.fleet.condition(CLUSTER, "BootstrapCovered", "False", "BehindMirror").await?;
    for words in [stage.node.name(), "connection refused", "AgentAndRollout"] {
        ensure!(message.contains(words), "{words} is not in {message}");
    }
    stage.fleet.condition(CLUSTER, "GuestSynced", "True", "AsExpected").await?;
    stage.fleet.condition(CLUSTER, "NodesUpToDate", "False", "AgentsMissing").await?;

    // What a rollout brings to nodes that boot.
    let host = stage.mirror.registry.host();
    let boot = format!(
        "[[registry]]\nlocation = \"{source}\"\n[[registry.mirror]]\nlocation = \"{host}/copy\"\ninsecure = true\n"
    );
    std::fs::write(stage.node.drop_ins().join("40-hypermirror-boot.conf"), boot)?;
    let mark = stage.node.mark()?;
    stage.node.signal_crio(Signal::HUP).await?;
    eventually(SOON, "CRI-O has read it", async || {
        Ok(stage.node.logged_since(mark)?.contains("Applied new registry configuration").then_some(()))
    })
    .await?;
    // The kubelet waits longer and longer before it tries again for the same pod.
    let old = agent_pod(&stage.guest).await?;
    let pods: Api<Pod> = Api::namespaced(stage.guest.client.clone(), &old.namespace().context("no namespace")?);
    pods.delete(&old.name_any(), &DeleteParams::default().grace_period(0)).await?;
    stage.fleet.condition(CLUSTER, "BootstrapCovered", "True", "AsExpected").await?;
    stage.fleet.condition(CLUSTER, "NodesUpToDate", "True", "AsExpected").await?;
    Ok(())
}
