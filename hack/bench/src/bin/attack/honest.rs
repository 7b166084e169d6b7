//! Hosted clusters whose owners do nothing wrong, and how long their edits take.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::future::try_join_all;
use hypermirror_e2e::Fleet;
use hypermirror_e2e::fleet::deployments;
use hypermirror_e2e::fleet::objects::{hosted_cluster, resource_of};
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// An edit that takes longer counts as this.
const LONGEST: Duration = Duration::from_mins(2);
const SOURCE: &str = "registry.example/organisation";

/// What the control planes carry, by namespace, as a watch tells.
#[derive(Default)]
struct Carried {
    values: Mutex<HashMap<String, String>>,
    changed: Notify,
}

/// The honest part of the fleet.
pub struct Honest {
    fleet: Fleet,
    clusters: usize,
    edits: Mutex<usize>,
    carried: Arc<Carried>,
    watch: JoinHandle<()>,
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn name(index: usize) -> String {
    format!("honest-{index}")
}

impl Honest {
    /// So many hosted clusters, each with its three Deployments.
    pub async fn create(fleet: &Fleet, clusters: usize) -> Result<Self> {
        let names: Vec<String> = (0..clusters).map(name).collect();
        fleet.hosted_clusters(&names.iter().map(String::as_str).collect::<Vec<_>>(), "=").await?;
        let carried = Arc::new(Carried::default());
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        let api: Api<DynamicObject> = Api::all_with(fleet.client.clone(), &resource_of(&deployment)?);
        let watch = tokio::spawn(follow(api, Arc::clone(&carried)));
        Ok(Self { fleet: fleet.clone(), clusters, edits: Mutex::new(0), carried, watch })
    }

    /// Edits each of them so many times, all at once; answers how long each edit took until the first Deployment carried it.
    pub async fn edit(&self, rounds: usize) -> Result<Vec<Duration>> {
        let mut all = Vec::new();
        for _ in 0..rounds {
            let edit = {
                let mut edits = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
                *edits += 1;
                *edits
            };
            all.extend(try_join_all((0..self.clusters).map(|index| self.edit_one(index, edit))).await?);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok(all)
    }

    async fn edit_one(&self, index: usize, edit: usize) -> Result<Duration> {
        let cluster = name(index);
        let mirror = format!("mirror.example/edit-{edit:05}");
        let start = Instant::now();
        self.fleet.apply(&hosted_cluster(&cluster, &[(SOURCE, &[mirror.as_str()], None)])).await.context("an edit")?;
        let namespace = deployments::namespace(&cluster);
        loop {
            let changed = self.carried.changed.notified();
            let is_carried = {
                let values = self.carried.values.lock().unwrap_or_else(PoisonError::into_inner);
                values.get(&namespace).is_some_and(|value| value.contains(&mirror))
            };
            let left = LONGEST.saturating_sub(start.elapsed());
            if is_carried || left.is_zero() {
                return Ok(start.elapsed());
            }
            let _ = tokio::time::timeout(left.min(Duration::from_millis(200)), changed).await;
        }
    }
}

async fn follow(api: Api<DynamicObject>, carried: Arc<Carried>) {
    let config = watcher::Config::default().fields("metadata.name=control-plane-operator");
    let mut stream = pin!(watcher(api, config).default_backoff().applied_objects());
    while let Some(update) = stream.next().await {
        let Ok(deployment) = update else { continue };
        let namespace = deployment.metadata.namespace.unwrap_or_default();
        let value = deployment.data["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
        carried.values.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace, value);
        carried.changed.notify_waiters();
    }
}
