//! `dump` on a real API server: a password is planted wherever an API server takes one, and is nowhere in the bundle.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use hypermirror_e2e::Scene;
use hypermirror_e2e::faulty::{Answer, Faulty};
use hypermirror_e2e::fleet::objects::{hosted_cluster, icsp, idms};
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SYSTEM, TARGETS, deployments};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::ran::{Ran, run, run_with};

/// As programs make them: nobody's word, number or name.
const CANARY: &str = "Kan4ry+dump/Zq81==";
/// What a kubelet answers: lines of the manager, and one of nobody.
const LOG: &str = r#"{"timestamp":"2026-11-30T12:00:00Z","level":"WARN","fields":{"message":"failed to patch","error":"Kan4ry+dump/Zq81=="}}
{"level":"INFO","Kan4ry":"x","fields":{"message":"https://u:Kan4ry+dump/Zq81==@m.example/x?token=Kan4ry"}}
panicked: Bearer Kan4ry+dump/Zq81==
"#;

/// The files of a bundle by path.
fn unpacked(file: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut tar = tar::Archive::new(GzDecoder::new(std::fs::File::open(file)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(path.trim_start_matches("hypermirror-dump/").to_owned(), text);
    }
    Ok(files)
}

async fn dump(scene: &Scene, file: &Path, flags: &[&str]) -> Result<Ran> {
    let name = file.to_string_lossy().into_owned();
    run(scene, &[&["dump", "-o", &name], flags].concat()).await
}

/// Writes the password into everything that the API server takes it in.
async fn plant(fleet: &Fleet, kubelet: u16) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull-secret", "namespace": NAMESPACE},
        "stringData": {".dockerconfigjson": json!({"auths": {"m.example": {"auth": CANARY}}}).to_string()}
    });
    fleet.apply(&secret).await?;
    let annotations = ["hypermirror.dev/node-delivery", "hypermirror.dev/config", "example.com/token"];
    let annotated: BTreeMap<&str, &str> = annotations.into_iter().map(|key| (key, CANARY)).collect();
    let cluster = hosted_cluster("a", &[]);
    fleet.merge(&cluster, &json!({"metadata": {"annotations": annotated}})).await?;
    let condition = json!({
        "type": "Available", "status": "False", "reason": "Broken", "message": format!("pull failed: {CANARY}"),
        "lastTransitionTime": "2026-11-30T12:00:00Z", "observedGeneration": 1
    });
    let clusters: Api<DynamicObject> = fleet.api_of(&cluster)?;
    let status = json!({"status": {"conditions": [condition]}});
    clusters.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await?;
    // A kind whose CRD does not check what a mirror looks like.
    let mirrors = [format!("user:{CANARY}@m.example/x"), format!("m.example/x?token={CANARY}")];
    fleet.apply(&icsp("old", &[("s.example/x", &[&mirrors[0], &mirrors[1]], None)])).await?;
    let mut target = deployments::target("a", TARGETS[0], Some(&format!("s.example=u:{CANARY}@m.example")), "=");
    target["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = CANARY.into();
    target["metadata"]["annotations"] = json!({"example.com/token": CANARY});
    fleet.apply(&target).await?;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": NAMESPACE},
        "eventTime": "2026-11-30T12:00:00.000000Z", "reportingController": "test.example/x", "reportingInstance": "x",
        "action": "Pull", "reason": "Failed", "type": "Warning", "note": format!("https://u:{CANARY}@m.example failed"),
        "regarding": {"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster", "name": "a", "namespace": NAMESPACE}
    });
    fleet.apply(&event).await?;
    plant_pod(fleet, kubelet).await
}

/// A pod that looks like one of hypermirror's, on a node whose kubelet is at this port. The pod has no address for its metrics.
async fn plant_pod(fleet: &Fleet, kubelet: u16) -> Result<()> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
    fleet.apply(&node).await?;
    let address = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}}
    }});
    let nodes: Api<DynamicObject> = fleet.api_of(&node)?;
    nodes.patch_status("node", &PatchParams::default(), &Patch::Merge(&address)).await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "hypermirror-manager-x", "namespace": SYSTEM, "labels": {"app.kubernetes.io/name": "hypermirror"},
            "annotations": {"example.com/token": CANARY}
        },
        "spec": {"serviceAccountName": "hypermirror-manager", "nodeName": "node", "containers": [{
            "name": "manager", "image": "quay.example/hypermirror:v1", "args": ["manager", format!("--password={CANARY}")],
            "env": [{"name": "TOKEN", "value": CANARY}]
        }]}
    });
    fleet.apply(&pod).await?;
    let waiting = json!({"reason": "ErrImagePull", "message": format!("unauthorized: {CANARY}")});
    let container = json!({
        "name": "manager", "image": "quay.example/hypermirror:v1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": waiting}
    });
    let pods: Api<DynamicObject> = fleet.api_of(&pod)?;
    let status = json!({"status": {"phase": "Pending", "containerStatuses": [container]}});
    pods.patch_status("hypermirror-manager-x", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// The objects, what check and status say, the log and what is missing, redacted.
fn has_what_helps(files: &BTreeMap<String, String>) -> Result<()> {
    let parsed = |path: &str| -> Result<Value> {
        let text = files.get(path).with_context(|| format!("{path} is missing: {:?}", files.keys()))?;
        Ok(serde_json::from_str(text)?)
    };
    let clusters = parsed("objects/hostedclusters.json")?;
    ensure!(
        clusters[0]["metadata"]["name"] == "a" && clusters[0]["spec"]["pullSecret"]["name"] == "pull-secret",
        "{clusters}"
    );
    ensure!(clusters[0]["status"]["conditions"][0]["message"] == "pull failed: [dropped]", "{clusters}");
    let targets = parsed("objects/targets.json")?;
    ensure!(targets.as_array().is_some_and(|targets| targets.len() == 3), "{targets}");
    let reports = parsed("objects/hostedclustermirrors.json")?;
    ensure!(reports[0]["status"]["sources"][0]["digestMirrors"] == json!(["m.example/s"]), "{reports}");
    ensure!(
        parsed("maps.json")?["clusters/a"]["s.example"]["policy"] == "NeverContactSource",
        "{}",
        parsed("maps.json")?
    );
    let reasons: Vec<Value> =
        parsed("check.json")?.as_array().into_iter().flatten().map(|row| row["reason"].clone()).collect();
    ensure!(reasons.contains(&json!("SourceUnproven")) && reasons.contains(&json!("MalformedObject")), "{reasons:?}");
    let text = |path: &str| files.get(path).map(String::as_str).unwrap_or_default();
    ensure!(text("status.txt").contains("clusters/a"), "{}", text("status.txt"));
    ensure!(text("errors.txt").contains("the metrics of pod hypermirror-manager-x"), "{}", text("errors.txt"));
    has_pages(files)?;
    let log = text("logs/hypermirror-manager-x.manager.log");
    ensure!(log.lines().count() == 3 && log.contains("failed to patch"), "{log}");
    ensure!(
        text("MANIFEST").contains("incomplete") && text("MANIFEST").contains("objects/targets.json"),
        "{}",
        text("MANIFEST")
    );
    ensure!(text("versions.json").contains("\"kubernetes\": \"v1."), "{}", text("versions.json"));
    Ok(())
}

/// The dashboard, with links that lead to files of the bundle, and the same objects.
fn has_pages(files: &BTreeMap<String, String>) -> Result<()> {
    let page = |path: &str| files.get(path).map(String::as_str).with_context(|| format!("{path} is missing"));
    let (fleet, cluster) = (page("dashboard/index.html")?, page("dashboard/clusters/clusters/a.html")?);
    for (text, part) in [
        (fleet, "href=\"clusters/clusters/a.html\""),
        (fleet, "href=\"assets/style.css\""),
        (cluster, "m.example/s"),
        (cluster, "NeverContactSource"),
        (page("dashboard/findings.html")?, "SourceUnproven"),
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    page("dashboard/assets/style.css")?;
    let pages = files.iter().filter(|(path, _)| path.starts_with("dashboard/") && path.contains(".html"));
    for (path, text) in pages {
        ensure!(!text.contains("<script") && !text.contains("://"), "{path}: {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_has_what_helps_and_no_password() -> Result<()> {
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], "=").await?;
    scene.fleet.apply(&idms("one", &[("s.example", &["m.example/s"], Some("NeverContactSource"))])).await?;
    let manager = scene.manager().await?;
    scene.fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    drop(manager);
    let kubelet = Faulty::start(Answer::Log(LOG)).await?;
    plant(&scene.fleet, kubelet.port()).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("dump.tar.gz");
    let mark = scene.audit.mark().await?;

    let ran = dump(&scene, &file, &[]).await?;
    ensure!(ran.code == Some(3), "the metrics of a pod without an address cannot be read: {}", ran.stderr);
    let files = unpacked(&file)?;
    for (path, text) in &files {
        for part in [CANARY, "Kan4ry", "Zq81"] {
            ensure!(!text.contains(part) && !path.contains(part), "{path}: {text}");
        }
    }
    has_what_helps(&files)?;
    let events = scene.audit.since(mark).await?;
    let of_dump =
        |event: &&hypermirror_e2e::audit::Event| event.user == "admin" && event.user_agent.starts_with("hypermirror/");
    ensure!(events.iter().filter(of_dump).count() > 20, "{events:?}");
    ensure!(events.iter().filter(of_dump).all(|event| event.resource != "secrets"), "Secrets are read");

    // An existing file is not replaced, and no other file is left.
    let again = dump(&scene, &file, &[]).await?;
    ensure!(again.code == Some(2) && again.stderr.contains("exists"), "{}", again.stderr);
    let left: Vec<_> =
        std::fs::read_dir(&directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    ensure!(left == ["dump.tar.gz"], "{left:?}");
    partial_rights(&scene, directory.path()).await
}

/// Whoever may read less gets less, and is told.
async fn partial_rights(scene: &Scene, directory: &Path) -> Result<()> {
    let kubeconfig = scene.management().kubeconfig_for_service_account(NAMESPACE, "nobody").await?;
    let file = directory.join("partial.tar.gz");
    let ran = run_with(&kubeconfig, &["dump", "-o", &file.to_string_lossy()]).await?;
    ensure!(ran.code == Some(3) && ran.stderr.contains("hostedclusters is missing: "), "{}", ran.stderr);
    let files = unpacked(&file)?;
    let errors = files.get("errors.txt").context("no errors.txt")?;
    for what in ["hostedclusters: ", "pods in namespace hypermirror-system: ", "what check finds"] {
        ensure!(errors.contains(what) && errors.contains("forbidden"), "{what}: {errors}");
    }
    ensure!(files.contains_key("versions.json") && files.contains_key("MANIFEST"), "{:?}", files.keys());
    Ok(())
}
