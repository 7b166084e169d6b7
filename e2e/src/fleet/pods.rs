//! Simulates the Deployment controller and the kubelets: sets Deployments to rolled out shortly after each change, except
//! those of some hosted clusters.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Fleet, SOON, TARGETS, deployments};
use crate::eventually;

/// Simulated pods. Dropping this value stops the simulation.
pub struct Pods {
    world: World,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct World {
    client: Client,
    /// Time until a pod is available.
    start: Duration,
    /// Control-plane namespaces whose pods do not become available. `None` means all namespaces.
    down: Arc<Mutex<Option<BTreeSet<String>>>>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pods {
    /// Starts the simulation with this start time of pods.
    pub fn run(fleet: &Fleet, start: Duration) -> Self {
        let world = World { client: fleet.client.clone(), start, down: Arc::new(Mutex::new(Some(BTreeSet::new()))) };
        let task = tokio::spawn(world.clone().follow());
        Self { world, task }
    }

    /// Pods that start from now on do not become available.
    pub fn hold(&self) {
        *self.world.down() = None;
    }

    /// Pods of one hosted cluster that start from now on do not become available. Running pods stay available.
    pub fn hold_next(&self, cluster: &str) {
        if let Some(down) = self.world.down().as_mut() {
            down.insert(deployments::namespace(cluster));
        }
    }

    /// Makes all pods available, including those that start from now on.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn mend(&self, clusters: &[&str]) -> Result<()> {
        *self.world.down() = Some(BTreeSet::new());
        for cluster in clusters {
            self.world.report(cluster).await?;
        }
        Ok(())
    }

    /// Makes all pods of one hosted cluster unavailable, including those that start from now on.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn break_down(&self, cluster: &str) -> Result<()> {
        self.hold_next(cluster);
        self.world.report(cluster).await
    }

    /// Waits until these hosted clusters are available.
    ///
    /// # Errors
    ///
    /// If they are not in time.
    pub async fn available(&self, fleet: &Fleet, clusters: &[&str]) -> Result<()> {
        for cluster in clusters {
            for target in TARGETS {
                eventually(SOON, &format!("{target} of {cluster} is available"), async || {
                    let deployment = fleet.deployment(cluster, target).await?;
                    Ok((deployment["status"]["availableReplicas"] == 1).then_some(()))
                })
                .await?;
            }
        }
        Ok(())
    }
}

impl World {
    fn down(&self) -> MutexGuard<'_, Option<BTreeSet<String>>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(self) {
        let api: Api<Deployment> = Api::all(self.client.clone());
        let changes = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
        let play = |change: watcher::Result<Deployment>| {
            let world = self.clone();
            async move {
                let Ok(deployment) = change else { return };
                let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
                if seen != deployment.metadata.generation {
                    tokio::time::sleep(world.start).await;
                    let namespace = deployment.namespace().unwrap_or_default();
                    // Ignore errors: a deleted Deployment needs no status, and a failed update is repeated with the next change.
                    let _ = world.write_status(&namespace, &deployment.name_any()).await;
                }
            }
        };
        changes.for_each_concurrent(256, play).await;
    }

    /// Sets the status of the Deployments of one hosted cluster.
    async fn report(&self, cluster: &str) -> Result<()> {
        let namespace = deployments::namespace(cluster);
        for target in TARGETS {
            self.write_status(&namespace, target).await?;
        }
        Ok(())
    }

    async fn write_status(&self, namespace: &str, name: &str) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let generation = api.get_metadata(name).await?.metadata.generation.context("no generation")?;
        let is_up = self.down().as_ref().is_some_and(|down| !down.contains(namespace));
        let available = i32::from(is_up);
        let status: Value = json!({"status": {
            "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": available, "availableReplicas": available, "unavailableReplicas": 1 - available
        }});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }
}
