//! The objects of HyperShift for a guest cluster: the Secret with its kubeconfig, and the HostedControlPlane.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Fleet, NAMESPACE, deployments, objects};
use crate::Cluster;
use crate::pki::Validity;

/// The user that stock admission policies allow to write mirror objects.
pub const HCCO: &str = "system:hosted-cluster-config";

impl Fleet {
    /// Makes a cluster the guest cluster of a hosted cluster, whose control-plane namespace must exist: creates the Secret with a
    /// kubeconfig, and the HostedControlPlane with the address of the API server.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
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
    /// If the API server rejects a request.
    pub async fn control_plane(&self, hosted_cluster: &str, host: &str, port: u16) -> Result<()> {
        let control_plane = control_plane(hosted_cluster, &deployments::namespace(hosted_cluster));
        let api = self.api_of(&control_plane)?;
        // Create instead of apply: reduced CRDs drop unknown fields.
        let object: DynamicObject = serde_json::from_value(control_plane)?;
        api.create(&PostParams::default(), &object).await.context("failed to create the HostedControlPlane")?;
        let endpoint = json!({"host": host, "port": port});
        let status = json!({"status": {"ready": true, "initialized": true, "controlPlaneEndpoint": endpoint}});
        api.patch_status(hosted_cluster, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }
}

/// A HostedControlPlane that is also valid with the stock CRD.
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
