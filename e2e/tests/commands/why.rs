//! `why` on real API servers: pods whose kubelet reports that an image cannot be pulled, and registries that say why.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::mock::User;
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::{MockRegistry, Scene};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::ran::{Ran, run};
use super::stage::Stage;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const NAMESPACE: &str = "shop";
const PASSWORD: &str = "canary-wh7";

/// An image of one blob, whole or without its blob.
fn add_image(registry: &MockRegistry, is_whole: bool) -> Digest {
    let mut store = registry.store();
    let config = store.add_blob("app", "{}");
    let descriptor = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2});
    let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor, "layers": []});
    let digest = store.add_manifest("app", IMAGE, manifest.to_string());
    if !is_whole {
        store.repository("app").blobs.remove(&config);
    }
    digest
}

fn secret(namespace: &str, name: &str, host: &str) -> Value {
    let auth = BASE64_STANDARD.encode(format!("alice:{PASSWORD}"));
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json!({"auths": {host: {"auth": auth}}}).to_string()}
    })
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A pod on a node, whose kubelet reports that it cannot pull the image of the first container.
async fn failing_pod(fleet: &Fleet, node: &str, image: &str, secrets: &[&str]) -> Result<()> {
    fleet.apply(&namespace(NAMESPACE)).await?;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}});
    fleet.apply(&account).await?;
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "nodeName": node, "automountServiceAccountToken": false, "imagePullSecrets": secrets,
            "initContainers": [{"name": "init", "image": image}], "containers": [{"name": "app", "image": image}]
        }
    });
    fleet.apply(&pod).await?;
    let container = |name: &str, state: Value| json!({"name": name, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let waiting =
        json!({"waiting": {"reason": "ImagePullBackOff", "message": format!("Back-off pulling image {image}")}});
    let status = json!({"status": {
        "phase": "Pending",
        "initContainerStatuses": [container("init", waiting)],
        "containerStatuses": [container("app", json!({"waiting": {"reason": "PodInitializing"}}))]
    }});
    let api: Api<Pod> = Api::namespaced(fleet.client.clone(), NAMESPACE);
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// The first cause of the first container.
fn cause(ran: &Ran) -> Result<Value> {
    ensure!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{}", ran.stdout);
    let report = ran.json()?;
    ensure!(report["containers"][0]["name"] == "init", "{report}");
    Ok(report.pointer("/containers/0/causes/0").with_context(|| report.to_string())?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_that_fails_is_named_with_what_cures_it() -> Result<()> {
    let mirror = MockRegistry::builder().basic([User::new("alice", PASSWORD)]).start().await?;
    let digest = add_image(&mirror, true);
    let held = std::mem::take(&mut mirror.store().repositories);
    let image = format!("source.example/app@{digest}");
    let scene = Scene::start().await?;
    let location = format!("{}/app", mirror.host());
    scene.fleet.apply(&idms("m", &[("source.example/app", &[&location], Some("NeverContactSource"))])).await?;
    failing_pod(&scene.fleet, "worker-0", &image, &["own", "gone"]).await?;
    scene.fleet.apply(&secret(NAMESPACE, "own", &mirror.host())).await?;
    let why = ["why", "web", "-n", NAMESPACE, "--plain-http", "-o", "json"];

    // The pod has credentials for the mirror, and nodes do not show them to mirrors.
    let ran = run(&scene, &why).await?;
    let refused = cause(&ran)?;
    ensure!(ran.code == Some(1) && refused["kind"] == "Unauthorized" && refused["hop"] == 1, "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    ensure!(message.contains(&format!("do not show it the credentials of Secret {NAMESPACE}/own")), "{refused}");

    // With those of the nodes the mirror answers, and lacks the image.
    scene.fleet.apply(&namespace("openshift-config")).await?;
    scene.fleet.apply(&secret("openshift-config", "pull-secret", &mirror.host())).await?;
    let ran = run(&scene, &why).await?;
    let missing = cause(&ran)?;
    ensure!(ran.code == Some(1) && missing["kind"] == "SourceBlocked" && missing["hop"] == 2, "{missing}");
    let copy = format!("hypermirror copy {image} {location} --thorough");
    ensure!(missing["cures"][0] == copy.as_str(), "{missing}");
    let text = run(&scene, &["why", "web", "-n", NAMESPACE, "--plain-http"]).await?;
    for line in [
        format!("Pod {NAMESPACE}/web, on node worker-0"),
        "init container init: ImagePullBackOff".to_owned(),
        "asked with Secret openshift-config/pull-secret".to_owned(),
        "container app: not pulled yet".to_owned(),
        "Secret shop/gone in imagePullSecrets cannot be used: it does not exist".to_owned(),
        format!("cure: {copy}"),
    ] {
        ensure!(text.stdout.contains(&line), "{line}\n{}", text.stdout);
    }

    // Cured, but for the Secret that does not exist.
    mirror.store().repositories = held;
    let ran = run(&scene, &why).await?;
    ensure!(cause(&ran)?["kind"] == "PullSecretUnusable" && ran.code == Some(1), "{}", ran.stdout);
    let absent = run(&scene, &["why", "none", "-n", NAMESPACE]).await?;
    ensure!(absent.code == Some(2) && absent.stderr.contains("has no Pod none"), "{}", absent.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_in_a_guest_is_explained_by_the_mirrors_of_its_node_and_the_cure_works() -> Result<()> {
    let (source, mirror) = (MockRegistry::start().await?, MockRegistry::start().await?);
    let digest = add_image(&source, true);
    add_image(&mirror, false);
    let from = format!("{}/app", source.host());
    let to = format!("{}/app", mirror.host());
    let stage = Stage::populated(1, &[(&from, &[&to], None)]).await?;
    stage.node_pool(0, "workers", &json!({})).await?;
    let _manager = stage.launch("manager").arg("--guest-interval=2s").start_ready(stage.scene.management()).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let (_node, agent) = stage.node(0, "node-0", "workers").await?;
    stage.fleet().wait_for_report("west-0", "the node", |report| report["nodes"]["summary"] == "1/1").await?;
    let image = format!("{from}@{digest}");
    failing_pod(&stage.guests[0], "node-0", &image, &[]).await?;
    let why = ["why", "web", "-n", NAMESPACE, "--hosted-cluster", "clusters/west-0", "--plain-http", "-o", "json"];

    let ran = run(&stage.scene, &why).await?;
    let half = cause(&ran)?;
    ensure!(ran.code == Some(1) && half["kind"] == "IncompleteMirror" && half["hop"] == 1, "{half} {}", ran.stderr);
    let fill = format!("hypermirror coverage --hosted-cluster clusters/west-0 --image {image} --fill");
    ensure!(half["cures"][1] == fill.as_str(), "{half}");
    let cure = half["cures"][0].as_str().context("no cure")?.to_owned();
    let words: Vec<&str> = cure.split(' ').skip(1).chain(["--plain-http"]).collect();
    let cured = run(&stage.scene, &words).await?;
    ensure!(cured.code == Some(0), "{cure}: {}", cured.stderr);
    let ran = run(&stage.scene, &why).await?;
    ensure!(ran.code == Some(3) && cause(&ran)?["kind"] == "NotReproduced", "{}", ran.stdout);

    // Mirrors that the node has not applied.
    drop(agent);
    stage.edit(0, &[(&from, &["mirror.example/two", &to], None)]).await?;
    stage.condition(0, "NodesUpToDate", "False", "NodesUpdating").await?;
    let late = run(&stage.scene, &why).await?.json()?;
    let kinds: Vec<&Value> = late
        .pointer("/containers/0/causes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|it| &it["kind"])
        .collect();
    ensure!(kinds.contains(&&Value::from("MirrorsNotApplied")), "{late}");
    Ok(())
}
