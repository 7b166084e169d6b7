//! A manager over a strict API server, for tests: one hosted cluster, `clusters/a`, with the stock targets.

use std::sync::Arc;

use clap::Parser;
use http::Method;
use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec, ImageContentSource};
use hypermirror_api::report::HostedClusterMirrorsSpec;
use hypermirror_api::{ClusterKey, HostedClusterMirrors, HostedClusterMirrorsStatus, names};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::context::Context;
use super::heavy::Heavy;
use super::options::ManagerOptions;
use super::reporter::Reporter;
use super::run::settings;
use crate::client::testing::{ApiServer, Step};
use crate::client::watch::Update;
use crate::hosted::fixtures::deployment;
use crate::hosted::target::stock_targets;
use crate::management::events::Events;
use crate::management::index::change::{Change, Decoded};
use crate::management::index::cluster::SeenCluster;
use crate::management::index::reports::SeenReport;
use crate::management::index::targets::TargetMeta;
use crate::management::lease::leadership::testing::TestTerm;
use crate::telemetry::metrics::ManagerMetrics;

/// The path of the HostedCluster.
pub const CLUSTER: &str = "/apis/hypershift.openshift.io/v1beta1/namespaces/clusters/hostedclusters/a";
/// The path of the report.
pub const REPORT: &str = "/apis/hypermirror.dev/v1alpha1/namespaces/clusters/hostedclustermirrors/a";

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: ManagerOptions,
}

/// The manager, its term and its API server.
pub struct Stage {
    pub ctx: Arc<Context>,
    pub reporter: Reporter,
    pub term: TestTerm,
    server: ApiServer,
}

impl Stage {
    /// A leader with these flags, whose first lists are complete, and which may send these requests and no others.
    pub fn new(flags: &[&str], steps: impl IntoIterator<Item = Step>) -> Self {
        let command = ["manager"].into_iter().chain(flags.iter().copied());
        let options = Command::parse_from(command).options;
        let settings = settings(&options, "hypermirror".to_owned(), "me".to_owned());
        let (client, server) = ApiServer::new(steps);
        let (term, of_leader) = TestTerm::begin(5);
        let metrics = ManagerMetrics::register(&mut Registry::default());
        let events = Events::new(client.clone(), names::EVENT_CONTROLLER, "me");
        let ctx = Context::new(settings, client, metrics, of_leader, Heavy::start().unwrap());
        ctx.leader.initial_lists.await_watch("all").done();
        let reporter = Reporter::new(ctx.store.clone(), ctx.writer.clone(), ctx.leader.clone(), events);
        Self { ctx, reporter, term, server }
    }

    /// Adds the hosted cluster and its targets.
    #[must_use]
    pub fn with_cluster(self, cluster: HostedCluster) -> Self {
        self.ctx.store.apply(clusters(vec![cluster]));
        for (place, spec) in stock_targets().iter().enumerate() {
            self.ctx.store.apply(Change::Targets(place, Update::Replaced(vec![target(&spec.deployment, 1)])));
        }
        self
    }

    /// Empties the queues, and returns what was in them.
    pub async fn drain(&self) -> (Vec<ClusterKey>, Vec<ClusterKey>) {
        let queued = (self.ctx.store.clusters.queued(), self.ctx.store.guests.queued());
        for _ in &queued.0 {
            let key = self.ctx.store.clusters.next().await;
            self.ctx.store.clusters.done(&key, false);
        }
        for _ in &queued.1 {
            let key = self.ctx.store.guests.next().await;
            self.ctx.store.guests.done(&key, false);
        }
        queued
    }

    /// Verifies that all listed requests and no others were sent. Returns their bodies.
    pub async fn end(self) -> Vec<Value> {
        let Self { ctx, reporter, term: _, server } = self;
        drop((ctx, reporter));
        server.end().await
    }
}

/// `clusters/a`.
pub fn key() -> ClusterKey {
    "clusters/a".parse().unwrap()
}

/// A list of HostedClusters.
pub fn clusters(list: Vec<HostedCluster>) -> Change {
    let seen = list.into_iter().map(|cluster| Decoded::Object(SeenCluster::from(cluster)));
    Change::HostedClusters(Update::Replaced(seen.collect()))
}

/// The HostedCluster, with a mirror of `quay.io/a`.
pub fn hosted_cluster() -> HostedCluster {
    let source = ImageContentSource { source: "quay.io/a".to_owned(), mirrors: vec!["m.example/a".to_owned()] };
    let spec = HostedClusterSpec { image_content_sources: vec![source], ..HostedClusterSpec::default() };
    let mut cluster = HostedCluster::new("a", spec);
    cluster.metadata.namespace = Some("clusters".to_owned());
    cluster.metadata.uid = Some("a".to_owned());
    cluster.metadata.generation = Some(1);
    cluster
}

/// The metadata of a target.
pub fn target(uid: &str, generation: i64) -> TargetMeta {
    TargetMeta { namespace: "clusters-a".to_owned(), uid: uid.to_owned(), generation, rollout: None }
}

/// The path of a target.
pub fn target_path(place: usize) -> String {
    format!("/apis/apps/v1/namespaces/clusters-a/deployments/{}", stock_targets()[place].deployment)
}

/// A target with these values of the env var, available.
pub fn stock_deployment(place: usize, env: &[&str]) -> Value {
    let mut deployment = deployment(&stock_targets()[place], env, None);
    deployment["metadata"]["resourceVersion"] = "1".into();
    deployment["status"] =
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    deployment
}

/// The reads of all targets.
pub fn reads(env: &[&str]) -> Vec<Step> {
    (0..3).map(|place| Step::new(Method::GET, &target_path(place), 200, &stock_deployment(place, env))).collect()
}

/// A write of a target that is carried out.
pub fn patched(place: usize, env: &[&str]) -> Step {
    Step::patched(&target_path(place), &stock_deployment(place, env))
}

/// A report of the hosted cluster that the watch has seen, with this version.
pub fn seen(status: HostedClusterMirrorsStatus, version: &str) -> SeenReport {
    let mut report = HostedClusterMirrors::new("a", HostedClusterMirrorsSpec {});
    report.metadata.namespace = Some("clusters".to_owned());
    report.metadata.resource_version = Some(version.to_owned());
    report.status = Some(status);
    report.into()
}

/// A report, with this number of sources.
pub fn report(sources: i64) -> HostedClusterMirrorsStatus {
    HostedClusterMirrorsStatus { source_count: sources, ..HostedClusterMirrorsStatus::default() }
}
