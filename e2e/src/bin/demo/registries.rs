//! The registry-manager, and what it reports of one repository.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SYSTEM};
use hypermirror_e2e::release::own_layer;
use hypermirror_e2e::{Cluster, Launch, MockRegistry, Process, binaries, eventually};
use serde_json::{Value, json};

use crate::LIMIT;
use crate::show::Show;

const SERVICE_ACCOUNT: &str = "hypermirror-registry-manager";
const REPOSITORY: &str = "company/app";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Scans a repository, and again after an image was pushed to it.
pub async fn scan(show: &Show, cluster: &Cluster, fleet: &Fleet) -> Result<()> {
    show.title("Scanning: the registry-manager reports the tags of a repository");
    let mirror = MockRegistry::start().await?;
    for version in ["v1.9.0", "v1.10.0", "latest"] {
        push(&mirror, version)?;
    }
    let _process = start(cluster, fleet).await?;
    let object = json!({
        "apiVersion": "registry.kubecontroller.io/v1alpha1", "kind": "Registry",
        "metadata": {"name": "app", "namespace": NAMESPACE},
        "spec": {"url": mirror.url(), "repository": REPOSITORY, "scanInterval": 300},
    });
    fleet.apply(&object).await?;
    reported(fleet, &object, 3).await?;
    show.registries(fleet).await?;
    show.note("An image is pushed, and a scan is asked for:");
    push(&mirror, "v1.11.0")?;
    show.command(&format!("kubectl annotate registry -n {NAMESPACE} app hypermirror.dev/scan-now=1"));
    fleet.merge(&object, &json!({"metadata": {"annotations": {"hypermirror.dev/scan-now": "1"}}})).await?;
    let status = reported(fleet, &object, 4).await?;
    show.command(&format!("kubectl get registry -n {NAMESPACE} app -o jsonpath='{{.status.lastScanResult}}'"));
    show.note(&status["lastScanResult"].to_string());
    Ok(())
}

/// Starts the registry-manager with its own `ServiceAccount`.
async fn start(cluster: &Cluster, fleet: &Fleet) -> Result<Process> {
    for file in ["rbac.yaml", "secrets.yaml"] {
        let directory = binaries::repository_root().join("manifests/components/registry-manager");
        fleet.apply_file(&directory.join(file)).await?;
    }
    let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    Launch::operator("registry-manager", cluster.directory())?
        .arg("registry-manager")
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .args(["--inventory-bind-address=127.0.0.1:0", "--registry-networks=loopback", "--min-scan-interval=10ms"])
        .arg(format!("--namespace={SYSTEM}"))
        .env("KUBECONFIG", kubeconfig)
        .spawn()
}

fn push(registry: &MockRegistry, tag: &str) -> Result<()> {
    let mut store = registry.store();
    let config = store.add_blob(REPOSITORY, "{}");
    let text = own_layer("app", tag);
    let size = text.len();
    let layer = store.add_blob(REPOSITORY, text);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*layer, "size": size}],
    });
    let digest = store.add_manifest(REPOSITORY, IMAGE, serde_json::to_string(&manifest)?);
    store.tag(REPOSITORY, tag, &digest);
    Ok(())
}

/// Waits until so many tags are reported.
async fn reported(fleet: &Fleet, object: &Value, tags: usize) -> Result<Value> {
    eventually(LIMIT, &format!("{tags} tags are reported"), async || {
        let found = fleet.api_of(object)?.get("app").await?;
        let status = found.data.get("status").cloned().unwrap_or_default();
        ensure!(status["lastScanResult"]["tagCount"] == tags, "{status}");
        Ok(Some(status))
    })
    .await
}
