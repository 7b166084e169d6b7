//! The field `spec.imageMirrorConfigRef` of a HostedCluster, and a hypershift operator that does not know it.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::{NAMESPACE, SOON, objects};
use hypermirror_e2e::{Fleet, Scene, eventually};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

const OPERATOR: &str = "system:serviceaccount:hypershift:operator";
const FIELD: &str = "imageMirrorConfigRef";

/// Adds the field to the CRD, as an administrator does.
async fn add_field(fleet: &Fleet) -> Result<()> {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "hostedclusters.hypershift.openshift.io"}
    });
    let stands = fleet.api_of(&crd)?.get("hostedclusters.hypershift.openshift.io").await?;
    let versions = stands.data["spec"]["versions"].as_array().context("no versions")?;
    let place = versions.iter().position(|version| version["name"] == "v1beta1").context("no v1beta1")?;
    let path = format!("/spec/versions/{place}/schema/openAPIV3Schema/properties/spec/properties/{FIELD}");
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    fleet.json_patch(&crd, &json!([{"op": "add", "path": path, "value": schema}])).await?;
    eventually(SOON, "the field is served", async || {
        let mut probe = with_field("probe");
        probe["metadata"]["name"] = json!("probe");
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let api = fleet.api_of(&probe)?;
        Ok(reference(&api.create(&params, &serde_json::from_value(probe)?).await?).is_some().then_some(()))
    })
    .await
}

fn with_field(name: &str) -> Value {
    let mut hosted = objects::hosted_cluster(name, &[]);
    hosted["spec"][FIELD] = json!({"name": "mirrors"});
    hosted
}

fn reference(hosted: &DynamicObject) -> Option<&str> {
    hosted.data["spec"][FIELD]["name"].as_str()
}

/// A full update by a client whose types do not have the field.
async fn update(client: &Client, name: &str, change: impl Fn(&mut DynamicObject)) -> Result<DynamicObject> {
    let resource = objects::resource_of(&objects::hosted_cluster(name, &[]))?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    // A policy's API server answers 503 for a moment after a CRD has changed.
    eventually(SOON, "the update is taken", async || {
        let mut hosted = api.get(name).await?;
        hosted.data["spec"].as_object_mut().context("no spec")?.remove(FIELD);
        change(&mut hosted);
        Ok(Some(api.replace(name, &PostParams::default(), &hosted).await?))
    })
    .await
}

/// Waits until a trial of an update keeps the field: the API server learns of each policy by itself, and of the one about
/// Deployments maybe first.
async fn keeps_on_trial(client: &Client, name: &str) -> Result<()> {
    let resource = objects::resource_of(&objects::hosted_cluster(name, &[]))?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    eventually(SOON, "an update on trial keeps the field", async || {
        let mut hosted = api.get(name).await?;
        hosted.data["spec"].as_object_mut().context("no spec")?.remove(FIELD);
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        Ok(reference(&api.replace(name, &trial, &hosted).await?).is_some().then_some(()))
    })
    .await
}

async fn a_hosted_cluster_keeps_its_field(admission: Admission) -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    add_field(fleet).await?;
    fleet.admit(admission).await?;
    let launch = admission.serve(scene.launch("manager"));
    let _manager = launch.start_ready(scene.management()).await?;
    fleet.admits().await?;
    let operator = scene.management().client_for_user(OPERATOR, Some("system:masters")).await?;
    let person = scene.management().client_for_user("alice", Some("system:masters")).await?;
    fleet.apply(&with_field("a")).await?;
    keeps_on_trial(&operator, "a").await?;
    // The first two writes of stock HyperShift on a new HostedCluster.
    let finalized = update(&operator, "a", |hosted| {
        hosted.metadata.finalizers = Some(vec!["hypershift.openshift.io/finalizer".to_owned()]);
    });
    ensure!(reference(&finalized.await?) == Some("mirrors"), "lost with the finalizer");
    let identified = update(&operator, "a", |hosted| {
        hosted.data["spec"]["clusterID"] = json!("7a1d3f6e-0000-4000-8000-000000000001");
    });
    ensure!(reference(&identified.await?) == Some("mirrors"), "lost with the clusterID");
    let api = fleet.api_of(&objects::hosted_cluster("a", &[]))?;
    ensure!(reference(&api.get("a").await?) == Some("mirrors"), "lost later");
    // It may be changed, and removed by whoever knows it.
    let other = json!({"spec": {FIELD: {"name": "other"}}});
    ensure!(reference(&fleet.merge(&objects::hosted_cluster("a", &[]), &other).await?) == Some("other"));
    ensure!(reference(&update(&operator, "a", |_| {}).await?) == Some("other"));
    let removed = update(&person, "a", |_| {}).await?;
    ensure!(reference(&removed).is_none(), "a removal by a person is one");
    ensure!(reference(&update(&operator, "a", |_| {}).await?).is_none());
    // Without the admission it is gone.
    fleet.apply(&with_field("b")).await?;
    fleet.dismiss(admission).await?;
    ensure!(reference(&update(&operator, "b", |_| {}).await?).is_none());
    update(&operator, "a", |hosted| hosted.metadata.finalizers = None).await.map(|_| ())
}

#[tokio::test]
async fn a_hosted_cluster_created_with_the_field_keeps_it_with_the_webhook() -> Result<()> {
    a_hosted_cluster_keeps_its_field(Admission::webhook()?).await
}

#[tokio::test]
async fn a_hosted_cluster_created_with_the_field_keeps_it_with_the_policy() -> Result<()> {
    a_hosted_cluster_keeps_its_field(Admission::Policy).await
}
