//! The Deckhouse module: installed with values like Deckhouse's, its registry-manager scans what the manifests of the first operator
//! name. There is no Deckhouse here: the scenario does what it does, with Helm.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::repository_root;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::mock::add_image;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::Proxy;
use hypermirror_e2e::{Cluster, Crds, Fleet, Launch, MockRegistry, Process, Testbed, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::helm::Helm;
use super::release::arguments;
use super::stage;

/// Name and namespace of the module, and where Deckhouse keeps its release.
const MODULE: &str = "registry-operator";
const NAMESPACE: &str = "d8-registry-operator";
const RELEASES: &str = "d8-system";

/// What the first operator's manifests scan.
const HUB: &str = "registry-1.docker.io";

/// The copy of the base's Deployment, and its ServiceAccount.
const DEPLOYMENT: &str = "hypermirror-registry-manager";

#[tokio::test]
async fn the_deckhouse_module_scans_as_the_first_operator_did() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    let fleet = Fleet { client: cluster.admin_client().await? };
    let module = repository_root().join("manifests/deckhouse");
    crds_of(&module)?.install(&fleet.client).await?;
    stage::namespace(&fleet, RELEASES, "privileged").await?;
    let helm = Helm::new("helm3", &cluster.kubeconfig_path())?.release(MODULE, RELEASES);
    let values = format!("--values={}", module.join("tests/plain-values.yaml").display());
    helm.apply("install", &module, &["--skip-crds", &values, "--set=registryOperator.logLevel=debug"]).await?;

    // As the first operator's users select it, and in the namespace that the module creates.
    let deployments: Api<Deployment> = Api::namespaced(fleet.client.clone(), NAMESPACE);
    let selected = deployments.list(&ListParams::default().labels("app=registry-operator")).await?;
    let found: Vec<String> = selected.items.iter().map(ResourceExt::name_any).collect();
    ensure!(found == [DEPLOYMENT], "{found:?}");
    stage::allowed(&fleet, NAMESPACE, stage::pods(&fleet, NAMESPACE).await?).await?;

    let authority = Authority::new("registries")?;
    let hub = MockRegistry::builder().tls(&authority).name(HUB).start().await?;
    for tag in ["latest", "1.25.3"] {
        add_image(&hub, "library/nginx", tag, tag);
    }
    let proxy = Proxy::start().await?;
    proxy.route(&format!("{HUB}:443"), hub.host().parse()?);
    let certificates = cluster.directory().join("registries.crt");
    std::fs::write(&certificates, authority.certificate())?;
    let launch = launch(&fleet, cluster).await?.env("HTTPS_PROXY", proxy.url()).env("SSL_CERT_FILE", &certificates);
    let mut manager = launch.spawn()?;

    let spec = json!({"url": "https://registry-1.docker.io", "repository": "library/nginx", "scanInterval": 300});
    let metadata = json!({"name": "nginx", "namespace": "default"});
    let registry = json!({
        "apiVersion": "registry.kubecontroller.io/v1alpha1", "kind": "Registry", "metadata": metadata, "spec": spec
    });
    fleet.apply(&registry).await?;
    scanned(&fleet, &registry, &mut manager).await?;

    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "hypermirror-registry-manager", "namespace": NAMESPACE}
    });
    ensure!(fleet.api_of(&lease)?.get_opt(DEPLOYMENT).await?.is_some(), "the Lease is not in the module's namespace");
    drop(manager);
    // A module that is disabled leaves CRDs and objects.
    helm.uninstall().await?;
    fleet.api_of(&registry)?.get("nginx").await.map(|_| ()).context("the Registry is gone")
}

/// The CRDs that Deckhouse applies: all files but the Russian descriptions.
fn crds_of(module: &std::path::Path) -> Result<Crds> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(module.join("crds"))? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with("doc-ru-") {
            files.push(file.path());
        }
    }
    Crds::read(&files)
}

/// The registry-manager of the module's Deployment, with its ServiceAccount, for registries on this machine.
async fn launch(fleet: &Fleet, cluster: &Cluster) -> Result<Launch> {
    let kubeconfig = cluster.kubeconfig_for_service_account(NAMESPACE, DEPLOYMENT).await?;
    let launch = Launch::operator("registry-manager", cluster.directory())?
        .arg("registry-manager")
        .args(arguments(fleet, NAMESPACE, DEPLOYMENT, "registry-manager").await?)
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .arg("--registry-networks=loopback")
        .arg(format!("--namespace={NAMESPACE}"));
    Ok(launch.env("KUBECONFIG", kubeconfig))
}

/// Waits for the result of the scan as the first operator's README shows it.
async fn scanned(fleet: &Fleet, registry: &Value, manager: &mut Process) -> Result<()> {
    eventually(SOON, "the Registry is scanned", async || {
        let status = fleet.api_of(registry)?.get("nginx").await?.data["status"].clone();
        let images = status["images"].as_array().map(Vec::as_slice).unwrap_or_default();
        let tags: Vec<_> = images.iter().map(|image| image["tag"].as_str().unwrap_or_default()).collect();
        ensure!(status["lastScanStatus"] == "Success" && tags == ["1.25.3", "latest"], "{status}");
        let complete = images.iter().all(|image| {
            image["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:"))
                && image["size"].as_i64() > Some(0)
        });
        ensure!(complete, "{status}");
        Ok(Some(()))
    })
    .await
    .with_context(|| manager.log().unwrap_or_default())?;
    let ended = manager.exit_status()?;
    ensure!(ended.is_none(), "{ended:?}");
    Ok(())
}
