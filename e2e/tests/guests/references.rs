//! What a hosted cluster's owner declares in a ConfigMap of mirror sets, on control planes and nodes.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SOON};
use hypermirror_e2e::{binaries, eventually};
use serde_json::{Value, json};

use super::stage::{Stage, awaits, name, object};

const A: &str = "registry.example/a";
const REFERENCE: &str = "hypermirror.dev/image-mirror-config-ref";

fn sets(digest: &str, tag: &str) -> Value {
    let set = |kind: &str, list: &str, mirror: &str| {
        format!(
            "apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n  name: x\nspec:\n  {list}:\n  - source: {A}\n    mirrors:\n    - {mirror}\n"
        )
    };
    json!({
        "idms.yaml": set("ImageDigestMirrorSet", "imageDigestMirrors", digest),
        "itms.yaml": set("ImageTagMirrorSet", "imageTagMirrors", tag),
    })
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data})
}

async fn refer(fleet: &Fleet, patch: &Value) -> Result<()> {
    fleet.merge(&hosted_cluster(&name(0), &[]), patch).await.map(|_| ())
}

fn annotation(value: Option<&str>) -> Value {
    json!({"metadata": {"annotations": {REFERENCE: value}}})
}

fn field(value: Option<&str>) -> Value {
    json!({"spec": {"imageMirrorConfigRef": value.map(|name| json!({"name": name}))}})
}

/// What `hypermirror crd hostedcluster-patch` prints.
fn printed_patch() -> Result<Value> {
    let output = Command::new(binaries::operator()?).args(["crd", "hostedcluster-patch"]).output()?;
    serde_json::from_slice(&output.stdout).context("no JSON patch")
}

fn crd() -> Value {
    let kind = "CustomResourceDefinition";
    object("apiextensions.k8s.io/v1", kind, "hostedclusters.hypershift.openshift.io")
}

/// The CRD with the field, established in every cache of the API server; the first hosted cluster refers to `mirrors`.
async fn with_field(stage: &Stage) -> Result<()> {
    with_field_of_the_crd(stage).await?;
    refer(stage.fleet(), &field(Some("mirrors"))).await
}

/// The CRD with the field, established in every cache of the API server.
pub async fn with_field_of_the_crd(stage: &Stage) -> Result<()> {
    stage.fleet().json_patch(&crd(), &printed_patch()?).await?;
    eventually(SOON, "the field is kept", async || {
        refer(stage.fleet(), &field(Some("probe"))).await?;
        let cluster = stage.fleet().api_of(&hosted_cluster(&name(0), &[]))?.get(&name(0)).await?;
        ensure!(cluster.data["spec"]["imageMirrorConfigRef"]["name"] == "probe");
        Ok(Some(()))
    })
    .await?;
    refer(stage.fleet(), &field(None)).await
}

#[tokio::test]
async fn an_edit_of_a_referred_config_map_is_in_force_at_once_on_control_planes_and_nodes() -> Result<()> {
    let stage = Stage::populated(1, &[("registry.example/b", &["mirror.example/b"], None)]).await?;
    let fleet = stage.fleet();
    fleet.apply(&config_map("mirrors", &sets("mirror.example/one", "tags.example/one"))).await?;
    refer(fleet, &annotation(Some("mirrors"))).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "a").await?;
    let value = |n: &str| format!("{A}=mirror.example/{n},{A}=tags.example/{n},registry.example/b=mirror.example/b");
    fleet.reads(&[&name(0)], &value("one")).await?;
    let file = node.wait_for_text("tags.example/one").await?;
    ensure!(file.contains("ConfigMap/clusters/mirrors[itms.yaml#0][0]"), "the file says who declares it: {file}");
    let tags = object("config.openshift.io/v1", "ImageTagMirrorSet", "hypermirror");
    awaits(&stage.guests[0], &tags, true).await?;
    fleet.apply(&config_map("mirrors", &sets("mirror.example/two", "tags.example/two"))).await?;
    fleet.reads(&[&name(0)], &value("two")).await?;
    node.wait_for_text("tags.example/two").await?;
    fleet.condition(&name(0), "SourcesResolved", "True", "AsExpected").await?;
    let reported = fleet.report(&name(0)).await?;
    ensure!(
        reported["mirrorConfig"]["name"] == "mirrors" && reported["mirrorConfig"]["place"] == "Annotation",
        "{reported}"
    );

    refer(fleet, &annotation(None)).await?;
    fleet.reads(&[&name(0)], "registry.example/b=mirror.example/b").await?;
    eventually(SOON, "the node follows", async || {
        let file = node.ours().unwrap_or_default();
        ensure!(file.contains("mirror.example/b") && !file.contains(A), "{file}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_unusable_source_is_named_and_its_last_valid_content_stays_in_use_across_a_restart() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    let fleet = stage.fleet();
    fleet.apply(&config_map("mirrors", &sets("mirror.example/one", "tags.example/one"))).await?;
    refer(fleet, &annotation(Some("mirrors"))).await?;
    let manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "a").await?;
    let value = format!("{A}=mirror.example/one,{A}=tags.example/one");
    fleet.reads(&[&name(0)], &value).await?;
    node.wait_for_text("tags.example/one").await?;

    let broken = json!({"idms.yaml": "kind: ImageDigestMirrorSet\nspec: [\n"});
    fleet.merge(&config_map("mirrors", &json!({})), &json!({"data": broken})).await?;
    let message = fleet.condition(&name(0), "SourcesResolved", "False", "ConfigMapInvalid").await?;
    ensure!(message.starts_with("ConfigMap clusters/mirrors, key idms.yaml, document 1: not valid YAML"), "{message}");
    ensure!(message.contains("line 3"), "{message}");
    stage.wait_for_value_everywhere(&node, &value).await?;
    drop(manager);
    let mark = stage.scene.audit.mark().await?;
    let manager = stage.manager().await?;
    fleet.condition(&name(0), "GuestSynced", "True", "AsExpected").await?;
    stage.wait_for_value_everywhere(&node, &value).await?;
    let patches = stage.scene.patches(mark).await?;
    ensure!(patches.is_empty(), "a restart writes nothing: {patches:?}");

    fleet.delete(&config_map("mirrors", &json!({}))).await?;
    fleet.condition(&name(0), "SourcesResolved", "False", "ConfigMapMissing").await?;
    fleet.apply(&config_map("mirrors", &json!({"other": "x"}))).await?;
    fleet.condition(&name(0), "SourcesResolved", "False", "ConfigMapKeyMissing").await?;
    stage.wait_for_value_everywhere(&node, &value).await?;
    fleet.apply(&config_map("mirrors", &sets("mirror.example/two", "tags.example/two"))).await?;
    node.wait_for_text("tags.example/two").await?;
    fleet.reads(&[&name(0)], &value.replace("/one", "/two")).await?;
    drop(manager);
    Ok(())
}

#[tokio::test]
async fn the_field_precedes_the_annotation_and_the_reference_survives_a_crd_without_the_field() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    let fleet = stage.fleet();
    fleet.apply(&config_map("mirrors", &sets("mirror.example/field", "tags.example/field"))).await?;
    fleet.apply(&config_map("others", &sets("mirror.example/other", "tags.example/other"))).await?;
    with_field(&stage).await?;
    refer(fleet, &annotation(Some("others"))).await?;
    let _manager = stage.manager().await?;
    let value = format!("{A}=mirror.example/field,{A}=tags.example/field");
    fleet.reads(&[&name(0)], &value).await?;
    let message = fleet.condition(&name(0), "SourcesResolved", "False", "ReferenceConflict").await?;
    ensure!(message.contains("\"mirrors\"") && message.contains("\"others\""), "{message}");
    refer(fleet, &annotation(None)).await?;
    fleet.condition(&name(0), "SourcesResolved", "True", "AsExpected").await?;

    // An upgrade of HyperShift puts its own CRD back.
    let path = printed_patch()?[1]["path"].clone();
    fleet.json_patch(&crd(), &json!([{"op": "remove", "path": path}])).await?;
    fleet.condition(&name(0), "SourcesResolved", "False", "FieldPruned").await?;
    // The stock operator writes the pruned object, and somebody edits its spec.
    refer(fleet, &json!({"spec": {"channel": "stable-4.20", "pausedUntil": "2001-01-01T00:00:00Z"}})).await?;
    fleet
        .wait_for_report(&name(0), "the edit", |reported| reported["hostedClusterGeneration"].as_i64() > Some(1))
        .await?;
    fleet.reads(&[&name(0)], &value).await?;
    // The field is back, but what it said is not: still nobody took it away.
    fleet.json_patch(&crd(), &printed_patch()?).await?;
    fleet.condition(&name(0), "SourcesResolved", "False", "FieldPruned").await?;
    fleet.reads(&[&name(0)], &value).await?;
    with_field(&stage).await?;
    fleet.condition(&name(0), "SourcesResolved", "True", "AsExpected").await?;
    // Its owner may take it away.
    refer(fleet, &field(None)).await?;
    fleet.reads(&[&name(0)], "=").await
}
