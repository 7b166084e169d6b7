//! A fleet whose pods are played.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::fleet::pods::Pods;
use hypermirror_e2e::{Scene, eventually};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use serde_json::{Value, json};

/// For whole fleets on a loaded machine.
pub const LONG: Duration = Duration::from_mins(4);
/// What [`Stage::edit`] makes everybody read.
pub const VALUE: &str = "s.example=m.example/s";

/// The scene, the pods, and the hosted clusters `c000`, `c001`, …
pub struct Stage {
    pub scene: Scene,
    pub pods: Pods,
    pub names: Vec<String>,
}

impl Stage {
    /// So many hosted clusters, all available, whose pods take so long to start.
    pub async fn start(count: usize, pods_take: Duration) -> Result<Self> {
        let scene = Scene::start().await?;
        let names: Vec<String> = (0..count).map(|number| format!("c{number:03}")).collect();
        let pods = Pods::run(&scene.fleet, pods_take);
        let stage = Self { scene, pods, names };
        stage.scene.fleet.hosted_clusters(&stage.names(), "=").await?;
        stage.pods.available(&stage.scene.fleet, &stage.names()).await?;
        Ok(stage)
    }

    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Declares a mirror for everybody.
    pub async fn edit(&self) -> Result<()> {
        self.scene.fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await.map(|_| ())
    }

    /// The status of every report, by name.
    pub async fn reports(&self) -> Result<Vec<(String, Value)>> {
        let kind = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors"});
        let resource: ApiResource = hypermirror_e2e::fleet::objects::resource_of(&kind)?;
        let api: Api<DynamicObject> = Api::all_with(self.scene.fleet.client.clone(), &resource);
        let reports = api.list(&ListParams::default()).await?.items.into_iter();
        let reported = reports.map(|report| {
            let status = report.data.get("status").cloned().unwrap_or_default();
            Ok((report.metadata.name.context("a report without a name")?, status))
        });
        reported.collect()
    }

    /// The names of those whose `ControlPlaneUpToDate` has this reason, ascending.
    pub async fn with_reason(&self, reason: &str) -> Result<Vec<String>> {
        let mut reports = self.reports().await?;
        reports.retain(|(_, status)| reason_of(status) == reason);
        reports.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(reports.into_iter().map(|(name, _)| name).collect())
    }

    /// Waits until every report says that its rollout is done and its targets are up to date.
    pub async fn all_done(&self) -> Result<()> {
        eventually(LONG, "all rollouts are done", async || {
            let reports = self.reports().await?;
            let done = reports.iter().filter(|(_, status)| {
                status["controlPlane"]["rollout"]["state"] == "Done"
                    && status["controlPlane"]["summary"] == "3/3"
                    && reason_of(status) == "AsExpected"
            });
            let done = done.count();
            ensure!(done == self.names.len(), "{done} of {}", self.names.len());
            Ok(Some(()))
        })
        .await
    }
}

fn reason_of(status: &Value) -> &str {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == "ControlPlaneUpToDate");
    found.and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
}
