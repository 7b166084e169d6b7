//! A management cluster with a manager, and real guest clusters.

use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{Fleet, deployments};
use hypermirror_e2e::pki::Validity;
use hypermirror_e2e::{Cluster, Scene, eventually};
use serde_json::{Value, json};

/// Timeout of all waits. No step takes this long.
pub const LIMIT: Duration = Duration::from_mins(1);
/// The user of HyperShift's own components, with which the manager connects to guest clusters.
pub const MANAGER: &str = "system:hosted-cluster-config";
/// The source of all hosted clusters.
const SOURCE: &str = "registry.example/organisation";
/// An image by digest, which is never pulled.
const IMAGE: &str = "quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001";
pub struct Stage {
    // Fields are dropped in this order: the manager before its servers.
    _manager: Manager,
    /// A client of the administrator for each guest cluster.
    pub guests: Vec<Fleet>,
    pub scene: Scene,
}

impl Stage {
    /// Creates this number of guest clusters, each with a hosted cluster.
    pub async fn start(guests: usize) -> Result<Self> {
        let (scene, fleets) = Scene::with_guests(guests).await?;
        let launch = scene.launch("manager").arg(format!("--agent-image={IMAGE}")).arg("--agent-reload=none");
        let manager = launch.start_ready(scene.management()).await?;
        let stage = Self { _manager: manager, guests: fleets, scene };
        for index in 0..guests {
            stage.scene.fleet.hosted_cluster(&name(index), &[], "=").await?;
            stage.connect(index, &kubeconfig(stage.scene.bed.guest(index))?).await?;
        }
        for index in 0..guests {
            stage.condition(index, "GuestSynced", "AsExpected").await?;
        }
        Ok(stage)
    }

    /// Creates the kubeconfig Secret of a hosted cluster.
    pub async fn connect(&self, index: usize, kubeconfig: &str) -> Result<()> {
        let mut secret = secret(index);
        secret["stringData"] = json!({"kubeconfig": kubeconfig});
        self.scene.fleet.apply(&secret).await.map(|_| ())
    }

    /// Deletes the kubeconfig Secret.
    pub async fn disconnect(&self, index: usize) -> Result<()> {
        self.scene.fleet.delete(&secret(index)).await
    }

    /// Sets the mirror of a hosted cluster.
    pub async fn edit(&self, index: usize, mirror: &str) -> Result<()> {
        let object = hosted_cluster(&name(index), &[(SOURCE, &[mirror], None)]);
        self.scene.fleet.apply(&object).await.map(|_| ())
    }

    /// Waits until a condition of a hosted cluster has this reason.
    pub async fn condition(&self, index: usize, kind: &str, reason: &str) -> Result<()> {
        let cluster = name(index);
        eventually(LIMIT, &format!("{kind} of {cluster} is {reason}"), async || {
            let report = self.scene.fleet.report(&cluster).await?;
            let mut conditions = report["conditions"].as_array().into_iter().flatten();
            let found = conditions.find(|condition| condition["type"] == kind);
            anyhow::ensure!(found.is_some_and(|found| found["reason"] == reason), "{found:?}");
            Ok(Some(()))
        })
        .await
    }
}

/// The hosted cluster of a guest cluster.
pub fn name(index: usize) -> String {
    format!("west-{index}")
}

/// The kubeconfig of HyperShift's own components.
pub fn kubeconfig(guest: &Cluster) -> Result<String> {
    guest.kubeconfig(&guest.certificate(MANAGER, Some("system:masters"), Validity::Current)?)
}

fn secret(index: usize) -> Value {
    let namespace = deployments::namespace(&name(index));
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hcco-kubeconfig", "namespace": namespace}})
}
