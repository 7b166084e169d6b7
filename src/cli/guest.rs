//! Connects to a guest cluster with its kubeconfig, with the same checks as the manager.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::console;
use crate::client::deadline::answered;
use crate::guest::kubeconfig::GuestAccess;
use crate::guest::{GuestClient, InFlight, certificate};
use crate::management::index::guests::KUBECONFIG_SECRETS;
use crate::telemetry::requests::RequestMetrics;
use hypermirror_api::ClusterKey;

/// The key of the kubeconfig in the Secrets.
const KEY: &str = "kubeconfig";

/// Connects with the first kubeconfig that works, and reports why the ones before it do not. Outside the management cluster
/// often only the last one has a reachable address.
pub async fn connect(client: &Client, key: &ClusterKey) -> Result<GuestClient> {
    let namespace = key.control_plane_namespace();
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let mut problems = Vec::new();
    for name in KUBECONFIG_SECRETS {
        let read = answered(api.get_opt(name)).await;
        let Some(secret) = read.with_context(|| format!("failed to read Secret {namespace}/{name}"))? else { continue };
        match open(&secret, &namespace).await {
            Ok(guest) => {
                problems.iter().for_each(console::warning);
                return Ok(guest);
            }
            Err(error) => problems.push(format!("Secret {namespace}/{name}: {}", console::causes(&error))),
        }
    }
    if problems.is_empty() {
        bail!(
            "namespace {namespace} has no Secret with a kubeconfig for the guest cluster of {key} (checked: {})",
            KUBECONFIG_SECRETS.join(", ")
        );
    }
    bail!("failed to connect to the guest cluster of {key}: {}", problems.join("; "))
}

/// Connects with the kubeconfig in a Secret of a control-plane namespace. A refusal of the guest cluster is a
/// [`GuestError`](crate::guest::GuestError).
pub async fn open(secret: &Secret, namespace: &str) -> Result<GuestClient> {
    let content = secret.data.as_ref().and_then(|data| data.get(KEY));
    let content = content.with_context(|| format!("key {KEY} is missing"))?;
    let access = GuestAccess::parse(&content.0, namespace)?;
    if let Some(end) = certificate::expires(&access.credentials).filter(|end| *end <= jiff::Timestamp::now()) {
        bail!("the client certificate expired at {end}");
    }
    let guest = GuestClient::new(&access, &RequestMetrics::default(), &InFlight::default())?;
    guest.probe().await?;
    Ok(guest)
}
