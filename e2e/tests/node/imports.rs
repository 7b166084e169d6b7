//! A pod that cannot pull is cured by a rule: the kubelet pulls what the registry-manager has copied.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::registry::Registry;
use hypermirror_e2e::{Crds, Launch, Served, binaries, eventually, needs_node};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::{LIMIT, shared};

/// The kubelet's pauses between pulls grow from 10 s on.
const CURED: Duration = Duration::from_mins(3);

async fn status(pods: &Api<Pod>) -> Result<ContainerStatus> {
    let status = pods.get("cured").await?.status.context("no status")?;
    status.container_statuses.and_then(|statuses| statuses.into_iter().next()).context("no container")
}

#[tokio::test]
async fn a_pod_that_cannot_pull_runs_once_a_rule_has_its_image_imported() -> Result<()> {
    needs_node!();
    let (cluster, _) = shared().await?;
    let client = cluster.admin_client().await?;
    let fleet = Fleet { client: client.clone() };
    Crds::read(&[binaries::repository_root().join("manifests/crd/management.yaml")])?.install(&client).await?;
    let source = Served::start("acme/app:v1").await?;
    let directory = tempfile::tempdir()?;
    let mirror = Registry::start(directory.path()).await?;

    let image = format!("{}/acme/app:v1", mirror.host());
    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "cured"},
        "spec": {
            "hostNetwork": true, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": image}],
        },
    }))?;
    eventually(LIMIT, "the namespace has its ServiceAccount", async || {
        Ok(Some(pods.create(&PostParams::default(), &pod).await?))
    })
    .await?;
    eventually(LIMIT, "the pod waits for its image", async || {
        let waiting = status(&pods).await?.state.and_then(|state| state.waiting);
        let reason = waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
        ensure!(["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str()), "{reason}");
        Ok(Some(()))
    })
    .await?;

    let rule = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "ImportRule",
        "metadata": {"name": "acme", "namespace": "images"},
        "spec": {
            "namespaces": ["default"],
            "source": {"prefix": format!("{}/acme", source.registry.host()), "plainHttp": true},
            "destination": {"prefix": format!("{}/acme", mirror.host()), "plainHttp": true},
            "tags": ["v1"],
        },
    });
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "images"}})).await?;
    fleet.apply(&rule).await?;
    let _process = Launch::operator("imports", cluster.directory())?
        .arg("registry-manager")
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .args(["--inventory-bind-address=127.0.0.1:0", "--registry-networks=loopback", "--namespace=default"])
        .arg("--import-namespaces=images=default")
        .arg(format!("--destination-allow={}", mirror.host()))
        .env("FEATURE_COPY_ON_THE_FLY", "true")
        .env("KUBECONFIG", cluster.kubeconfig_path())
        .spawn()?;
    let running = eventually(CURED, "the pod runs", async || {
        let status = status(&pods).await?;
        ensure!(status.state.as_ref().is_some_and(|state| state.running.is_some()), "{status:?}");
        Ok(Some(status))
    })
    .await?;
    ensure!(running.image_id.ends_with(&source.digest), "{} is not {}", running.image_id, source.digest);
    let found = fleet.api_of(&rule)?.get("acme").await?;
    ensure!(found.data["status"]["imported"] == 1, "{:#}", found.data);
    pods.delete("cured", &DeleteParams::default().grace_period(0)).await?;
    Ok(())
}
