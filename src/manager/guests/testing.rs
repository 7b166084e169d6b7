//! A guest cluster over a strict API server, for tests.

use std::sync::Arc;

use http::Method;
use hypermirror_api::names::MANAGED_LABEL;
use serde_json::{Value, json};

use super::outcome::Synced;
use super::{Base, Connection, Guest, Guests, sync};
use crate::client::testing::{ApiServer, Step};
use crate::client::watch::Update;
use crate::guest::objects::{GuestKinds, crds};
use crate::guest::{GuestClient, InFlight, compare, path};
use crate::management::index::change::Change;
use crate::management::index::guests::{KubeconfigSecret, SecretMeta};
use crate::manager::context::moment;
use crate::manager::heavy::Load;
use crate::manager::testing::{Stage, hosted_cluster, key};

pub const SET: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets/cluster";
pub const SETS: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets";
pub const STATUSES: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses";
pub const NODES: &str = "/api/v1/nodes";
pub const VERSION: &str = "/version";
pub const SET_CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodemirrorsets.hypermirror.dev";
const SECRET: &str = "hcco-kubeconfig";

/// The manager, and one guest cluster that it is connected to.
pub struct GuestStage {
    pub stage: Stage,
    pub guests: Arc<Guests>,
    pub guest: Guest,
    server: ApiServer,
}

impl GuestStage {
    /// A manager with these flags whose agent is installed by somebody else. `steps` are the requests to the guest cluster.
    pub fn new(flags: &[&str], steps: impl IntoIterator<Item = Step>) -> Self {
        Self::over(Stage::new(&[&["--guest-agent=external"], flags].concat(), []), steps)
    }

    pub fn over(stage: Stage, steps: impl IntoIterator<Item = Step>) -> Self {
        let stage = stage.with_cluster(hosted_cluster());
        let meta = SecretMeta { namespace: "clusters-a".to_owned(), resource_version: "1".to_owned() };
        stage.ctx.store.apply(Change::Kubeconfigs(0, Update::Replaced(vec![meta])));
        let guests = Guests::new(&stage.ctx);
        let (client, server) = ApiServer::new(steps);
        let client = GuestClient::over(client, &InFlight::default());
        let secret = KubeconfigSecret { name: SECRET, resource_version: "1".to_owned() };
        let connection = Some(Connection { secret, client, expires: None });
        let guest = Guest { term: 5, connection, ..Guest::default() };
        Self { stage, guests, guest, server }
    }

    /// One reconcile. Its result is recorded, as the manager does.
    pub async fn sync(&mut self) -> Synced {
        let ctx = &self.stage.ctx;
        let observed = ctx.known(&key(), Load::default(), &ctx.heavy.guests).await.ok().unwrap();
        let synced = sync::sync(&self.guests, &mut self.guest, &observed, moment()).await;
        // They would send requests of their own.
        self.guest.watches.stop();
        if let Some(outcome) = synced.outcome.clone() {
            ctx.store.record_guest(&key(), outcome);
        }
        synced
    }

    /// Pretends that all objects but mirrors were written a moment ago.
    pub fn has_base(&mut self) {
        let others: Arc<[String]> = ["CustomResourceDefinition".to_owned()].into();
        self.guest.base = Some(Base { at: std::time::Instant::now(), kinds: GuestKinds::default(), others });
    }

    /// Pretends that mirrors were written.
    pub fn pushed(&mut self) {
        self.guest.mirrors = Some(super::push::Mirrors::default());
    }

    /// Verifies the requests to both clusters. Returns the bodies of those to the guest cluster.
    pub async fn end(self) -> Vec<Value> {
        let Self { stage, guests, guest, server } = self;
        drop((guests, guest));
        stage.end().await;
        server.end().await
    }
}

pub fn get(path: &str, body: &Value) -> Step {
    Step::new(Method::GET, path, 200, body)
}

pub fn missing(path: &str) -> Step {
    Step::refused(Method::GET, path, 404)
}

/// A list with these items.
pub fn list(path: &str, items: &[Value]) -> Step {
    get(path, &json!({"metadata": {}, "items": items}))
}

/// The discovery of a guest cluster that serves no optional kind.
pub fn discovery() -> Vec<Step> {
    let groups = [
        "config.openshift.io/v1",
        "config.openshift.io/v1",
        "operator.openshift.io/v1alpha1",
        "security.openshift.io/v1",
        "admissionregistration.k8s.io/v1",
    ];
    groups.iter().map(|group| missing(&format!("/apis/{group}"))).collect()
}

/// The reads of the CRDs, which are up to date.
pub fn current_crds() -> Vec<Step> {
    crds().iter().map(|crd| get(&path::of(crd), &compare::stamped(crd))).collect()
}

/// The set of the hosted cluster in this generation, with other mirrors.
pub fn old_set(generation: i64) -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet",
        "metadata": {"name": "cluster", "uid": "s", "resourceVersion": "1", "generation": generation,
                     "labels": {MANAGED_LABEL: "true"}},
        "spec": {"layer": "HostedCluster"},
    })
}

/// A write of the set that succeeds.
pub fn patched_set(generation: i64) -> Step {
    Step::new(Method::PATCH, SET, 200, &old_set(generation))
}

pub fn node(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// The status of a node that has applied the set of this generation.
pub fn applied(name: &str, generation: i64) -> Value {
    json!({"metadata": {"name": name}, "status": {
        "conditions": [
            {"type": "Applied", "status": "True", "reason": "AsExpected", "message": ""},
            {"type": "Reloaded", "status": "True", "reason": "AsExpected", "message": ""},
        ],
        "observedSets": [{"kind": "NodeMirrorSet", "name": "cluster", "uid": "s", "generation": generation}],
    }})
}
