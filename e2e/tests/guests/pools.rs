//! The configuration of a NodePool: its mirrors only reach its own nodes, and problems are reported on it.

use anyhow::{Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::stage::{Stage, name};

const A: &str = "registry.example/a";

fn mirrors(kind: &str, list: &str, mirror: &str) -> String {
    format!(
        "apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n  name: x\nspec:\n  {list}:\n  - source: {A}\n    mirrors:\n    - {mirror}\n"
    )
}

fn tags(mirror: &str) -> String {
    mirrors("ImageTagMirrorSet", "imageTagMirrors", mirror)
}

fn config_map(name: &str, config: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"config": config}
    })
}

fn pool(name: &str) -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": name, "namespace": NAMESPACE}
    })
}

/// Waits for an event about a NodePool with this reason; answers its note.
async fn event(stage: &Stage, pool: &str, reason: &str) -> Result<String> {
    let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(stage.fleet().client.clone(), NAMESPACE);
    eventually(SOON, &format!("an event {reason} about NodePool {pool}"), async || {
        let events = api.list(&ListParams::default()).await?.items;
        let about = |event: &&k8s_openapi::api::events::v1::Event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            regarding.kind.as_deref() == Some("NodePool")
                && regarding.name.as_deref() == Some(pool)
                && event.reason.as_deref() == Some(reason)
        };
        Ok(events.iter().find(about).map(|event| event.note.clone().unwrap_or_default()))
    })
    .await
}

#[tokio::test]
async fn a_pools_tag_mirrors_reach_its_nodes_alone_and_follow_their_config_map() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/all"], None)]).await?;
    let fleet = stage.fleet();
    fleet.apply(&config_map("edge-tags", &tags("mirror.example/edge-one"))).await?;
    stage.node_pool(0, "edge", &json!({"hypermirror.dev/config": "edge-tags"})).await?;
    stage.node_pool(0, "core", &json!({})).await?;
    let _manager = stage.manager().await?;
    let (edge, _a) = stage.node(0, "node-edge", "edge").await?;
    let (core, _b) = stage.node(0, "node-core", "core").await?;
    let file = edge.wait_for_text("mirror.example/edge-one").await?;
    ensure!(
        file.contains("mirror.example/all") && file.contains("ConfigMap/clusters/edge-tags[config#0][0]"),
        "{file}"
    );
    core.wait_for_text("mirror.example/all").await?;
    ensure!(!core.ours().unwrap_or_default().contains("edge-one"));
    fleet.condition(&name(0), "NodePoolConfigValid", "True", "AsExpected").await?;
    fleet.reads(&[&name(0)], &format!("{A}=mirror.example/all")).await?;

    fleet.apply(&config_map("edge-tags", &tags("mirror.example/edge-two"))).await?;
    edge.wait_for_text("mirror.example/edge-two").await?;
    fleet.merge(&pool("edge"), &json!({"metadata": {"annotations": {"hypermirror.dev/config": null}}})).await?;
    eventually(SOON, "the pool's mirrors are gone", async || {
        let file = edge.ours().unwrap_or_default();
        ensure!(!file.contains("edge-two") && file.contains("mirror.example/all"), "{file}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_invalid_configuration_of_a_node_pool_is_reported_on_it_and_affects_no_other() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    let fleet = stage.fleet();
    let misspelt = "apiVersion: machineconfiguration.openshift.io/v1\nkind: ContainerRuntimeConfig\nmetadata:\n  name: pids\nspec:\n  containerRuntimeConfig:\n    pidsLimit: many\n";
    fleet.apply(&config_map("tuning", &format!("{}---\n{misspelt}", tags("mirror.example/one")))).await?;
    stage.node_pool(0, "edge", &json!({"hypermirror.dev/config": "tuning, missing"})).await?;
    stage.node_pool(0, "core", &json!({})).await?;
    let _manager = stage.manager().await?;
    let (edge, _a) = stage.node(0, "node-edge", "edge").await?;
    edge.wait_for_text("mirror.example/one").await?;
    let message = fleet.condition(&name(0), "NodePoolConfigValid", "False", "ConfigMapInvalid").await?;
    let wanted = "NodePool edge: ConfigMap clusters/tuning, key config, document 2 (line 11): \
                  spec.containerRuntimeConfig.pidsLimit: \"many\" is not an integer";
    ensure!(message.starts_with(wanted), "{message}");
    ensure!(message.contains("ConfigMap clusters/missing does not exist"), "{message}");
    let note = event(&stage, "edge", "ConfigMapInvalid").await?;
    ensure!(note.contains("spec.containerRuntimeConfig.pidsLimit"), "{note}");
    fleet.condition(&name(0), "SourcesResolved", "True", "AsExpected").await?;

    fleet.apply(&config_map("tuning", &tags("mirror.example/two"))).await?;
    stage.node_pool(0, "edge", &json!({"hypermirror.dev/config": "tuning"})).await?;
    edge.wait_for_text("mirror.example/two").await?;
    fleet.condition(&name(0), "NodePoolConfigValid", "True", "AsExpected").await?;
    event(&stage, "edge", "NodePoolConfigValid").await?;
    // A text that is no YAML takes nothing away.
    fleet.apply(&config_map("tuning", "kind: [\n")).await?;
    fleet.condition(&name(0), "NodePoolConfigValid", "False", "ConfigMapInvalid").await?;
    ensure!(edge.ours().unwrap_or_default().contains("mirror.example/two"));
    Ok(())
}
