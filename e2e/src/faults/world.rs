//! The fleet of a run, and its state before and after.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::edits::{Editor, Pace, SharedLedger, State, declare, kept, locked, own, shared};
use super::judge::{Evidence, Target, judge};
use super::verdict::Verdict;
use crate::audit::Mark;
use crate::bed::Builder;
use crate::fleet::objects::{reported_map, resource_of};
use crate::fleet::{NAMESPACE, TARGETS, deployments};
use crate::{Crds, Scene, binaries, eventually};

/// Pause between two looks at a whole fleet, which cost the API server as much as an edit.
const PAUSE: Duration = Duration::from_secs(1);

/// A fleet whose mirrors are edited.
pub struct World {
    /// The servers, the fleet and the audit log.
    pub scene: Scene,
    /// The hosted clusters.
    pub names: Vec<String>,
    /// What is declared.
    pub ledger: SharedLedger,
}

/// The state from which a run is judged.
pub struct Run {
    mark: Mark,
    /// State and generation of each target, by hosted cluster and name.
    before: BTreeMap<(String, String), (State, i64)>,
}

impl World {
    /// Creates this number of hosted clusters, each with mirrors of its own, and mirrors for all of them.
    ///
    /// # Errors
    ///
    /// If a server does not start or refuses something.
    pub async fn start(bed: Builder, clusters: usize) -> Result<Self> {
        let scene = Scene::with(bed, &Crds::of_the_fleet()?).await?;
        let names: Vec<String> = (0..clusters).map(|number| format!("c{number:04}")).collect();
        for object in [kept(), shared(0)] {
            scene.fleet.apply(&object).await?;
        }
        let create = |name: String| {
            let fleet = &scene.fleet;
            async move {
                let mirrors = [("own.example", &["m.example/n0"][..], None)];
                fleet.hosted_cluster(&name, &mirrors, "=").await
            }
        };
        stream::iter(names.clone()).map(create).buffer_unordered(16).try_collect::<Vec<()>>().await?;
        Ok(Self { scene, names, ledger: SharedLedger::default() })
    }

    /// Takes the state from which a run is judged. Everything that is declared must have arrived.
    ///
    /// # Errors
    ///
    /// If the API server cannot be read.
    pub async fn begin(&self) -> Result<Run> {
        locked(&self.ledger).begin();
        let mut before = BTreeMap::new();
        for (cluster, name, value, generation) in self.targets().await? {
            let state = State::parse(&value).with_context(|| format!("{cluster} {name} has {value}"))?;
            before.insert((cluster, name), (state, generation));
        }
        Ok(Run { mark: self.scene.audit.mark().await?, before })
    }

    /// Starts to edit.
    pub fn edits(&self, pace: Pace, seed: u64) -> Editor {
        Editor::start(&self.scene.fleet, &self.names, &self.ledger, pace, seed)
    }

    /// Edits the mirrors of one hosted cluster.
    ///
    /// # Errors
    ///
    /// If the API server does not take it.
    pub async fn edit_one(&self, cluster: &str) -> Result<()> {
        let number = locked(&self.ledger).next(Some(cluster));
        declare(&self.scene.fleet, &own(cluster, number)).await
    }

    /// Waits until all targets and reports have what is declared, and returns the time that took.
    ///
    /// # Errors
    ///
    /// If they do not in time. The error has the first that does not.
    pub async fn settled(&self, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        let mut pause = Duration::ZERO;
        eventually(limit, "all targets and reports have what is declared", async || {
            tokio::time::sleep(pause).await;
            pause = PAUSE;
            for (cluster, name, value, _) in self.targets().await? {
                let wanted = locked(&self.ledger).state(&cluster).value();
                ensure!(value == wanted, "{cluster} {name} has {value}, declared is {wanted}");
            }
            let reports = self.reports().await?;
            for cluster in &self.names {
                let wanted = locked(&self.ledger).state(cluster).value();
                let report = reports.get(cluster);
                ensure!(report == Some(&wanted), "the report of {cluster} has {report:?}, declared is {wanted}");
            }
            Ok(Some(()))
        })
        .await?;
        Ok(start.elapsed())
    }

    /// Judges a run. The log is incomplete if an API server was killed.
    ///
    /// # Errors
    ///
    /// If the log or the final state cannot be read.
    pub async fn judge(&self, run: &Run, is_log_complete: bool) -> Result<Verdict> {
        let events = self.scene.audit.since(run.mark).await?;
        let mut targets = Vec::new();
        for (cluster, name, value, generation) in self.targets().await? {
            let before = run.before.get(&(cluster.clone(), name.clone()));
            let (before, generation_before) = *before.with_context(|| format!("{cluster} {name} is new"))?;
            targets.push(Target { cluster, name, generation_before, before, generation, value });
        }
        ensure!(targets.len() == run.before.len(), "{} targets are left", targets.len());
        let (reports, rendered) = (self.reports().await?, self.rendered().await?);
        let ledger = locked(&self.ledger).clone();
        let evidence = Evidence {
            events: &events,
            is_log_complete,
            ledger: &ledger,
            targets: &targets,
            reports: &reports,
            rendered: &rendered,
        };
        Ok(judge(&evidence))
    }

    /// All targets: hosted cluster, name, effective value, generation.
    async fn targets(&self) -> Result<Vec<(String, String, String, i64)>> {
        let namespaces: BTreeMap<String, &String> =
            self.names.iter().map(|name| (deployments::namespace(name), name)).collect();
        let mut targets = Vec::new();
        for object in self.scene.fleet.list(&ApiResource::erase::<Deployment>(&())).await? {
            let DynamicObject { metadata, .. } = &object;
            let name = metadata.name.clone().unwrap_or_default();
            let cluster = metadata.namespace.as_ref().and_then(|namespace| namespaces.get(namespace));
            if let Some(cluster) = cluster.filter(|_| TARGETS.contains(&name.as_str())) {
                let generation = metadata.generation.unwrap_or_default();
                let value = deployments::env_values(&serde_json::to_value(&object)?).pop().unwrap_or_default();
                targets.push(((*cluster).clone(), name, value, generation));
            }
        }
        Ok(targets)
    }

    /// The map in each report, as an override value.
    async fn reports(&self) -> Result<BTreeMap<String, String>> {
        let kind = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors"});
        let reports = self.scene.fleet.list(&resource_of(&kind)?).await?.into_iter();
        let map = |report: DynamicObject| {
            let status = report.data.get("status").map(reported_map).unwrap_or_default();
            (report.metadata.name.unwrap_or_default(), status)
        };
        Ok(reports.map(map).collect())
    }

    /// What `hypermirror render overrides` says about each hosted cluster.
    async fn rendered(&self) -> Result<BTreeMap<String, String>> {
        let mut command = tokio::process::Command::new(binaries::operator()?);
        command.args(["render", "overrides", "--output=json"]).env_remove("POD_NAMESPACE");
        let output = command.env("KUBECONFIG", self.scene.management().kubeconfig_path()).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let maps: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout)?;
        let own = format!("{NAMESPACE}/");
        let of =
            |(key, map): (String, Value)| Some((key.strip_prefix(&own)?.to_owned(), map["env"].as_str()?.to_owned()));
        Ok(maps.into_iter().filter_map(of).collect())
    }
}
