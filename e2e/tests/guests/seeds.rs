//! The manifests that people have from the proposal of image registry mirrors, as they stand there.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::references::with_field_of_the_crd;
use super::stage::{Stage, awaits, found, name, object};

const UNIFIED: &str = include_str!("seeds/unified-mirrors.yaml");
const CLUSTER_TAGS: &str = include_str!("seeds/cluster-mirrors.yaml");
const POOL_TAGS: &str = include_str!("seeds/nodepool-tag-mirrors.yaml");

/// The documents of a file.
fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    Ok(documents.collect::<Result<Vec<_>, _>>()?)
}

/// The first document as it is; of the second, which leaves out what a real one has, the part that it is about.
async fn apply(stage: &Stage, text: &str, onto: &Value) -> Result<()> {
    let documents = documents(text)?;
    stage.fleet().apply(documents.first().context("no document")?).await?;
    if let Some(second) = documents.get(1) {
        stage.fleet().merge(onto, &json!({"spec": second["spec"]})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_unified_config_map_of_the_proposal_is_in_force_in_the_control_plane_the_guest_and_on_nodes() -> Result<()>
{
    let stage = Stage::populated(1, &[("registry.redhat.io", &["mirror.example.com/redhat"], None)]).await?;
    with_field_of_the_crd(&stage).await?;
    apply(&stage, UNIFIED, &hosted_cluster(&name(0), &[])).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "workers").await?;
    let value = "quay.io/openshift-release-dev=mirror.corp.com/openshift-release-dev,\
                 registry.redhat.io=mirror.corp.com/redhat,registry.redhat.io=mirror.example.com/redhat";
    stage.fleet().reads(&[&name(0)], value).await?;
    let file = node.wait_for_text("mirror.corp.com/openshift-release-dev").await?;
    ensure!(file.contains("mirror.corp.com/redhat") && file.contains("mirror.example.com/redhat"), "{file}");
    for kind in ["ImageDigestMirrorSet", "ImageTagMirrorSet"] {
        awaits(&stage.guests[0], &object("config.openshift.io/v1", kind, "hypermirror"), true).await?;
    }
    stage.condition(0, "SourcesResolved", "True", "AsExpected").await?;
    // All node pools, without a rollout: nothing is written that stock HyperShift would take up.
    let boot = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "hypermirror-boot-workers", "namespace": format!("{NAMESPACE}-{}", name(0))}
    });
    ensure!(found(stage.fleet(), &boot).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn the_tag_mirrors_of_the_proposal_reach_every_pool_from_the_cluster_and_one_pool_from_its_own() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    with_field_of_the_crd(&stage).await?;
    for pool in ["workers", "others"] {
        stage.node_pool(0, pool, &json!({})).await?;
    }
    let pool = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": "workers", "namespace": NAMESPACE}
    });
    apply(&stage, POOL_TAGS, &pool).await?;
    let _manager = stage.manager().await?;
    let (workers, _a) = stage.node(0, "node-workers", "workers").await?;
    let (others, _b) = stage.node(0, "node-others", "others").await?;
    let tags = "mirror.corp.com/openshift-release-dev";
    let file = workers.wait_for_text(tags).await?;
    ensure!(file.contains("tag-only") && file.contains("nodepool-tag-mirrors[config#0][0]"), "{file}");
    stage.condition(0, "NodePoolConfigValid", "True", "AsExpected").await?;
    ensure!(others.ours().is_none(), "{:?}", others.ours());

    apply(&stage, CLUSTER_TAGS, &hosted_cluster(&name(0), &[])).await?;
    others.wait_for_text(tags).await?;
    stage.fleet().reads(&[&name(0)], &format!("quay.io/openshift-release-dev={tags}")).await?;
    eventually(SOON, "both layers are reported", async || {
        let file = workers.ours().unwrap_or_default();
        ensure!(file.contains("cluster-mirrors[itms.yaml#0][0]"), "{file}");
        Ok(Some(()))
    })
    .await
}
