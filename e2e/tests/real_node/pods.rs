//! Pods that somebody creates: what the kubelet pulls for them tells where from.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::{Fleet, SOON};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

fn api(guest: &Fleet) -> Api<Pod> {
    Api::default_namespaced(guest.client.clone())
}

/// Creates a pod of one container, which the scheduler and the kubelet take from there.
pub async fn create(guest: &Fleet, name: &str, image: &str) -> Result<()> {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "hostNetwork": true, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": image, "imagePullPolicy": "Always"}]
        }
    }))?;
    eventually(SOON, "the namespace has its ServiceAccount", async || {
        Ok(Some(api(guest).create(&PostParams::default(), &pod).await?))
    })
    .await
    .map(|_| ())
}

/// Waits until it runs.
pub async fn runs(guest: &Fleet, name: &str) -> Result<ContainerStatus> {
    eventually(SOON, &format!("{name} runs"), async || {
        let status = api(guest).get(name).await?.status.context("no status")?;
        ensure!(status.phase.as_deref() == Some("Running"), "{}", serde_json::to_string(&status)?);
        Ok(status.container_statuses.and_then(|statuses| statuses.into_iter().next()))
    })
    .await
}

/// Waits until the kubelet says why it waits for the image; answers its words.
pub async fn waits_for_image(guest: &Fleet, name: &str) -> Result<String> {
    eventually(SOON, &format!("{name} waits for its image"), async || {
        let status = api(guest).get(name).await?.status.context("no status")?;
        let statuses = status.container_statuses.unwrap_or_default();
        let waiting = statuses.first().and_then(|status| status.state.as_ref()?.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        ensure!(matches!(reason, "ErrImagePull" | "RegistryUnavailable" | "ImagePullBackOff"), "{reason}");
        Ok(waiting.and_then(|waiting| waiting.message.clone()))
    })
    .await
}

/// One pod as it is now.
pub async fn get(guest: &Fleet, name: &str) -> Result<Pod> {
    Ok(api(guest).get(name).await?)
}

/// Deletes pods.
pub async fn delete(guest: &Fleet, names: &[String]) -> Result<()> {
    for name in names {
        api(guest).delete(name, &DeleteParams::default().grace_period(0)).await?;
    }
    Ok(())
}
