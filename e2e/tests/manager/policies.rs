//! What the policies of `manifests/base` leave to the manager's own identity.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SOON, SYSTEM, TARGETS, deployments};
use hypermirror_e2e::{Fleet, Scene, eventually};
use serde_json::{Value, json};

const CONTAINER: &str = "/spec/template/spec/containers/0";

/// A write of the manager's that has to be refused, in these words.
async fn refused(manager: &Fleet, object: &Value, patch: &Value, why: &str) -> Result<()> {
    let answer = manager.json_patch(object, patch).await.err().with_context(|| format!("it was taken: {patch}"))?;
    let answer = format!("{answer:#}");
    ensure!(answer.contains(why), "{patch}: {answer}");
    Ok(())
}

/// A catalog of OLM's with two containers.
fn catalog() -> Value {
    let container = |name: &str| json!({"name": name, "image": "quay.example/catalog:1"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "redhat-operators-catalog", "namespace": "clusters-a", "annotations": {"x": "y"}},
        "spec": {
            "selector": {"matchLabels": {"app": "c"}},
            "template": {
                "metadata": {"labels": {"app": "c"}},
                "spec": {"containers": [container("registry")], "initContainers": [container("extract")]}
            }
        }
    })
}

async fn start() -> Result<(Scene, Fleet)> {
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], "=").await?;
    let client = scene.management().client_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    let manager = Fleet { client };
    // A label that changes each time: what changes nothing is refused to nobody.
    let (tries, target) = (AtomicUsize::new(0), deployments::target("a", TARGETS[0], None, "="));
    eventually(SOON, "the policies are in force", async || {
        let value = tries.fetch_add(1, Ordering::Relaxed).to_string();
        let label = json!([{"op": "add", "path": "/metadata/labels", "value": {"x": value}}]);
        refused(&manager, &hosted_cluster("a", &[]), &label, "one annotation of a HostedCluster").await?;
        refused(&manager, &target, &label, "its own annotations").await?;
        Ok(Some(()))
    })
    .await?;
    Ok((scene, manager))
}

#[tokio::test]
async fn the_manager_changes_one_annotation_of_a_hosted_cluster_and_nothing_else() -> Result<()> {
    let (scene, manager) = start().await?;
    let cluster = hosted_cluster("a", &[]);
    let observed = json!({"metadata": {"annotations": {"hypermirror.dev/mirrors-observed": "x"}}});
    manager.merge(&cluster, &observed).await?;
    let release = json!([{"op": "replace", "path": "/spec/release/image", "value": "evil.example/release:1"}]);
    refused(&manager, &cluster, &release, "spec or status").await?;
    let annotation = |key: &str| {
        let key = key.replace('/', "~1");
        json!([{"op": "add", "path": format!("/metadata/annotations/{key}"), "value": "evil.example/cpo:1"}])
    };
    for key in ["hypershift.openshift.io/control-plane-operator-image", "hypermirror.dev/paused"] {
        refused(&manager, &cluster, &annotation(key), "one annotation").await?;
    }
    let finalizer = json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.test/stays"]}]);
    refused(&manager, &cluster, &finalizer, "one annotation").await?;
    scene.fleet.merge(&cluster, &json!({"metadata": {"annotations": {"owner": "x"}}})).await?;
    let others = json!([{"op": "remove", "path": "/metadata/annotations/owner"}]);
    refused(&manager, &cluster, &others, "one annotation").await?;
    let gone = json!({"metadata": {"annotations": {"hypermirror.dev/mirrors-observed": null}}});
    manager.merge(&cluster, &gone).await.map(|_| ())
}

#[tokio::test]
async fn the_manager_changes_mirrors_of_a_deployment_in_a_control_plane_namespace_and_nothing_else() -> Result<()> {
    let (scene, manager) = start().await?;
    let at = |path: &str| format!("{CONTAINER}/{path}");
    let env =
        |name: &str, value: &str| json!([{"op": "add", "path": at("env/-"), "value": {"name": name, "value": value}}]);
    let word = |list: &str, word: &str| json!([{"op": "add", "path": at(&format!("{list}/-")), "value": word}]);
    for target in TARGETS {
        let object = deployments::target("a", target, None, "=");
        let list = if target == TARGETS[2] { "command" } else { "args" };
        manager.json_patch(&object, &env("OPENSHIFT_IMG_OVERRIDES", "a=b")).await?;
        let mut flag = word(list, "--registry-overrides");
        flag.as_array_mut().unwrap().extend(word(list, "a=b").as_array().cloned().unwrap_or_default());
        manager.json_patch(&object, &flag).await?;
        manager.json_patch(&object, &word(list, "--registry-overrides=c=d,e=f")).await?;
        for (patch, why) in [
            (json!([{"op": "replace", "path": at("image"), "value": "evil.example/x:1"}]), "env, args and command"),
            (json!([{"op": "add", "path": at("workingDir"), "value": "/evil"}]), "env, args and command"),
            (env("LD_PRELOAD", "/evil"), "OPENSHIFT_IMG_OVERRIDES only"),
            (env("OPENSHIFT_IMG_OVERRIDES", "$(POD_NAMESPACE)=x"), "OPENSHIFT_IMG_OVERRIDES only"),
            (word(list, "--kubeconfig=/evil"), "--registry-overrides only"),
            (json!([{"op": "remove", "path": at(&format!("{list}/0"))}]), "--registry-overrides only"),
            (word(list, "\u{1}--registry-overrides\u{2}"), "--registry-overrides only"),
            (
                json!([{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "admin"}]),
                "containers of",
            ),
            (
                json!([{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"x": "y"}}]),
                "containers of",
            ),
            (json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]), "containers of"),
            (
                json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.test/x"]}]),
                "its own annotations",
            ),
        ] {
            refused(&manager, &object, &patch, why).await?;
        }
    }
    let elsewhere = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clusters-b"}});
    scene.fleet.apply(&elsewhere).await?;
    let object = deployments::target("b", TARGETS[1], Some("="), "=");
    scene.fleet.apply(&object).await?;
    refused(&manager, &object, &env("OPENSHIFT_IMG_OVERRIDES", "a=b"), "hosted control-plane namespaces only").await?;

    scene.fleet.apply(&catalog()).await?;
    let image =
        |list: &str| json!([{"op": "replace", "path": format!("/spec/template/spec/{list}/0/image"), "value": "x:2"}]);
    manager.json_patch(&catalog(), &image("containers")).await?;
    manager.json_patch(&catalog(), &image("initContainers")).await?;
    let command = json!([{"op": "add", "path": at("command"), "value": ["evil"]}]);
    refused(&manager, &catalog(), &command, "images of a catalog only").await
}
