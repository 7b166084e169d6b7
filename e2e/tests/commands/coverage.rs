//! `coverage` on a live cluster: with the credentials and authorities of the hosted cluster, and with nobody else's.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::mock::{Presented, User};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::{MockRegistry, Scene};
use serde_json::{Value, json};

use super::ran::{Ran, run};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const PASSWORD: &str = "canary-c0v3r";

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "clusters"}})
}

fn only(ran: &Ran) -> Result<Value> {
    let report = ran.json()?;
    Ok(report["images"].as_array().and_then(|images| images.first()).context("no image")?.clone())
}

#[tokio::test]
async fn a_hosted_cluster_is_asked_for_with_its_own_pull_secret_and_authorities() -> Result<()> {
    let authority = Authority::new("coverage")?;
    let registry = MockRegistry::builder().tls(&authority).basic([User::new("alice", PASSWORD)]).start().await?;
    let digest = {
        let mut store = registry.store();
        let config = store.add_blob("app", "{}");
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2});
        let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": []});
        store.add_manifest("app", IMAGE, manifest.to_string())
    };
    let image = format!("{}/app@{digest}", registry.host());
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], "=").await?;
    let auth = BASE64_STANDARD.encode(format!("alice:{PASSWORD}"));
    let config = json!({"auths": {registry.host(): {"auth": auth}}}).to_string();
    let mut secret = object("Secret", "pull-secret");
    secret["type"] = "kubernetes.io/dockerconfigjson".into();
    secret["stringData"] = json!({".dockerconfigjson": config});
    let mut bundle = object("ConfigMap", "trust");
    bundle["data"] = json!({"ca-bundle.crt": authority.certificate()});
    let asked = ["coverage", "--hosted-cluster", "clusters/a", "--image", &image, "-o", "json"];

    // No Secret: nobody is asked, neither with other credentials nor without.
    let ran = run(&scene, &asked).await?;
    let verdict = only(&ran)?;
    ensure!(ran.code == Some(3) && verdict["reason"] == "CredentialsUnavailable", "{verdict} {}", ran.stderr);
    ensure!(registry.requests().is_empty(), "{:?}", registry.lines());

    // A Secret, and a certificate that nobody believes.
    scene.fleet.apply(&secret).await?;
    let ran = run(&scene, &asked).await?;
    let verdict = only(&ran)?;
    ensure!(ran.code == Some(3) && verdict["reason"] == "Unreachable", "{verdict}");
    ensure!(registry.requests().is_empty(), "{:?}", registry.lines());

    scene.fleet.apply(&bundle).await?;
    let trusts = json!({"spec": {"additionalTrustBundle": {"name": "trust"}}});
    scene.fleet.merge(&hosted_cluster("a", &[]), &trusts).await?;
    let ran = run(&scene, &asked).await?;
    ensure!(ran.code == Some(0) && only(&ran)?["verdict"] == "Held", "{} {}", ran.stdout, ran.stderr);
    let is_own = |presented: &Presented| match presented {
        Presented::Nothing => true,
        Presented::Basic { user } => user == "alice",
        _ => false,
    };
    ensure!(registry.requests().iter().all(|request| is_own(&request.presented)), "{:?}", registry.requests());
    ensure!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD));

    // Without a question, everything that the cluster names is needed; its release is nowhere.
    let ran = run(&scene, &["coverage", "-o", "json", "--max-wait", "1s"]).await?;
    let report = ran.json()?;
    ensure!(
        ran.code == Some(3) && report["unreadReleases"][0]["image"] == "quay.example/ocp/release:4.20.1",
        "{report}"
    );
    let proven = run(&scene, &["explain", &image, "--prove", "--hosted-cluster", "clusters/a"]).await?;
    ensure!(proven.code == Some(0) && proven.stdout.contains("pulled from here: held"), "{}", proven.stdout);
    Ok(())
}
