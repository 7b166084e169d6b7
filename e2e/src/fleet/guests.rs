//! What HyperShift tells about the guest of a hosted cluster: how to get in, and where its nodes reach it.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Fleet, NAMESPACE, deployments, objects};
use crate::Cluster;
use crate::pki::Validity;

/// The identity that the stock admission policies let write mirror objects.
pub const HCCO: &str = "system:hosted-cluster-config";

impl Fleet {
    /// Makes a cluster the guest of a hosted cluster, whose control-plane namespace has to be there: the Secret with a
    /// kubeconfig, and the HostedControlPlane with the API server's address.
    ///
    /// # Errors
    ///
    /// When the server refuses something.
    pub async fn guest_of(&self, hosted_cluster: &str, guest: &Cluster) -> Result<()> {
        let namespace = deployments::namespace(hosted_cluster);
        let kubeconfig = guest.kubeconfig(&guest.certificate(HCCO, Some("system:masters"), Validity::Current)?)?;
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "hcco-kubeconfig", "namespace": namespace},
            "stringData": {"kubeconfig": kubeconfig}
        }))
        .await?;
        self.control_plane(hosted_cluster, "127.0.0.1", guest.port()).await
    }

    /// Creates the HostedControlPlane of a hosted cluster, with its API server's address for nodes.
    ///
    /// # Errors
    ///
    /// When the server refuses something.
    pub async fn control_plane(&self, hosted_cluster: &str, host: &str, port: u16) -> Result<()> {
        let control_plane = control_plane(hosted_cluster, &deployments::namespace(hosted_cluster));
        let api = self.api_of(&control_plane)?;
        // Created and not applied: reduced CRDs leave out what they do not know.
        let object: DynamicObject = serde_json::from_value(control_plane)?;
        api.create(&PostParams::default(), &object).await.context("create the HostedControlPlane")?;
        let endpoint = json!({"host": host, "port": port});
        let status = json!({"status": {"ready": true, "initialized": true, "controlPlaneEndpoint": endpoint}});
        api.patch_status(hosted_cluster, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }
}

/// A HostedControlPlane that the stock CRD accepts, too.
pub fn control_plane(name: &str, namespace: &str) -> Value {
    let mut spec = objects::hosted_cluster(name, &[])["spec"].clone();
    spec["releaseImage"] = spec["release"]["image"].clone();
    for (field, value) in [
        ("infraID", json!(format!("{NAMESPACE}-{name}"))),
        ("issuerURL", json!("https://kubernetes.default.svc")),
        ("dns", json!({"baseDomain": "example.test"})),
        ("sshKey", json!({})),
    ] {
        spec[field] = value;
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("release");
    }
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedControlPlane",
        "metadata": {
            "name": name, "namespace": namespace,
            "annotations": {"hypershift.openshift.io/cluster": format!("{NAMESPACE}/{name}")}
        },
        "spec": spec
    })
}
