//! Who was in flight when, by the audit log: from the manager's patch of a pod template until the Deployment is reported
//! rolled out with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use hypermirror_e2e::Scene;
use hypermirror_e2e::audit::{Event, Mark};
use hypermirror_e2e::fleet::MANAGER_USER;

/// What the log says.
#[derive(Debug, Default)]
pub struct Flights {
    /// The most hosted clusters in flight at a time.
    pub most: usize,
    /// How often each target's pod template was patched, by `namespace/name`.
    pub patches: BTreeMap<String, usize>,
    /// The control-plane namespaces that are in flight at the end.
    pub left: BTreeSet<String>,
}

/// Reads the log since the mark. A patch counts from when the server received it, a status until then: the manager sees it
/// later.
pub async fn flights(scene: &Scene, mark: Mark) -> Result<Flights> {
    let mut events = scene.audit.since(mark).await?;
    events.retain(|event| event.is_write() && event.resource == "deployments" && event.succeeded());
    events.sort_by_key(|event| event.received);
    let mut flights = Flights::default();
    // By namespace and name: the generation that has to roll out.
    let mut open: BTreeMap<(String, String), i64> = BTreeMap::new();
    for event in &events {
        let key = (event.namespace.clone(), event.name.clone());
        if event.subresource == "status" {
            let status = &event.request_object.as_ref().context("a status without a body")?["status"];
            let seen = status["observedGeneration"].as_i64().unwrap_or_default();
            if status["availableReplicas"] == 1 && open.get(&key).is_some_and(|generation| seen >= *generation) {
                open.remove(&key);
            }
        } else if let Some(before) = patched(event) {
            *flights.patches.entry(format!("{}/{}", event.namespace, event.name)).or_default() += 1;
            open.insert(key, before + 1);
        }
        let clusters: BTreeSet<&str> = open.keys().map(|(namespace, _)| namespace.as_str()).collect();
        flights.most = flights.most.max(clusters.len());
    }
    flights.left = open.into_keys().map(|(namespace, _)| namespace).collect();
    Ok(flights)
}

/// The generation that a manager's patch of a pod template was made for; none if it is no such patch.
fn patched(event: &Event) -> Option<i64> {
    let operations = event.request_object.as_ref()?.as_array().filter(|_| event.user == MANAGER_USER)?;
    let path = |operation: &serde_json::Value| operation["path"].as_str().unwrap_or_default().to_owned();
    operations
        .iter()
        .any(|operation| operation["op"] != "test" && path(operation).starts_with("/spec/template"))
        .then_some(())?;
    operations.iter().find(|operation| path(operation) == "/metadata/generation")?["value"].as_i64()
}
