//! The objects of a stub, and what an API server does to them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::path::selects;

/// The resources that an API server of OpenShift has before hypermirror comes, as far as the manager asks for them.
const SERVED: [&str; 13] = [
    "v1/namespaces",
    "v1/nodes",
    "v1/pods",
    "v1/serviceaccounts",
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "apiextensions.k8s.io/v1/customresourcedefinitions",
    "apps/v1/daemonsets",
    "rbac.authorization.k8s.io/v1/clusterroles",
    "rbac.authorization.k8s.io/v1/clusterrolebindings",
    "config.openshift.io/v1/imagedigestmirrorsets",
    "config.openshift.io/v1/imagetagmirrorsets",
    "operator.openshift.io/v1alpha1/imagecontentsourcepolicies",
];
const CRDS: &str = "apiextensions.k8s.io/v1/customresourcedefinitions";
const NODES: &str = "v1/nodes";
/// The sets of mirrors.
pub(super) const SETS: &str = "hypermirror.dev/v1alpha1/nodemirrorsets";
const STATUSES: &str = "hypermirror.dev/v1alpha1/nodemirrorstatuses";

/// Events that wait for the client of a watch.
const EVENTS: usize = 64;

/// Namespace and name.
type Name = (Option<String>, String);

/// Another client has changed the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

#[derive(Debug)]
struct Watcher {
    resource: String,
    selector: String,
    events: mpsc::Sender<Bytes>,
}

/// The objects of one stub.
#[derive(Debug, Default)]
pub struct Store {
    version: u64,
    objects: BTreeMap<String, BTreeMap<Name, Value>>,
    watchers: Vec<Watcher>,
}

impl Store {
    /// A cluster with this number of nodes.
    pub fn new(nodes: usize) -> Self {
        let mut store = Self::default();
        for number in 0..nodes {
            let name = format!("node-{number}");
            let node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "hypershift.openshift.io/nodePool": "a"}}
            });
            store.put(NODES, &(None, name), node);
        }
        store
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether there is such a resource: of the server itself, or of a CRD.
    pub fn serves(&self, resource: &str) -> bool {
        SERVED.contains(&resource) || self.custom().any(|custom| custom == resource)
    }

    /// The plural names of the resources of a group and version.
    pub fn resources_of(&self, group: &str) -> Vec<String> {
        let own = SERVED.iter().map(|served| (*served).to_owned());
        let all = own.chain(self.custom());
        all.filter_map(|resource| Some(resource.strip_prefix(group)?.strip_prefix('/')?.to_owned())).collect()
    }

    fn custom(&self) -> impl Iterator<Item = String> {
        self.list(CRDS, None, "").into_iter().map(|crd| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let spec = &crd["spec"];
            let version = text(&spec["versions"][0]["name"]);
            format!("{}/{version}/{}", text(&spec["group"]), text(&spec["names"]["plural"]))
        })
    }

    /// One object.
    pub fn get(&self, resource: &str, name: &Name) -> Option<&Value> {
        self.objects.get(resource)?.get(name)
    }

    /// The objects of a resource.
    pub fn list(&self, resource: &str, namespace: Option<&str>, selector: &str) -> Vec<&Value> {
        let objects = self.objects.get(resource).into_iter().flatten();
        let inside = objects.filter(|((of, _), _)| namespace.is_none() || of.as_deref() == namespace);
        inside.map(|(_, object)| object).filter(|object| selects(selector, &object["metadata"]["labels"])).collect()
    }

    /// Applies an object as its only field manager: what it names replaces what was there. Returns it, and whether it is new.
    ///
    /// # Errors
    ///
    /// If it names another version than the current one.
    pub fn apply(&mut self, resource: &str, name: &Name, mut object: Value) -> Result<(Value, bool), Conflict> {
        let before = self.get(resource, name).cloned();
        let wanted = object["metadata"]["resourceVersion"].take();
        if !wanted.is_null() && before.as_ref().is_none_or(|before| before["metadata"]["resourceVersion"] != wanted) {
            return Err(Conflict);
        }
        let old = before.clone().unwrap_or_default();
        for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
            object["metadata"][field] = old["metadata"][field].clone();
        }
        if before.is_some() && !old["status"].is_null() {
            object["status"] = old["status"].clone();
        }
        if before.as_ref() == Some(&object) {
            return Ok((object, false)); // nothing to store
        }
        if before.is_none() {
            object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{:012x}", self.version + 1).into();
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        if !object["spec"].is_null() && object["spec"] != old["spec"] {
            object["metadata"]["generation"] = (old["metadata"]["generation"].as_i64().unwrap_or_default() + 1).into();
        }
        if resource == CRDS {
            object["status"] = json!({"conditions": [
                {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"},
            ]});
        }
        Ok((self.put(resource, name, object), before.is_none()))
    }

    /// Deletes an object. Returns whether it was there.
    pub fn delete(&mut self, resource: &str, name: &Name) -> bool {
        let Some(mut object) = self.objects.get_mut(resource).and_then(|objects| objects.remove(name)) else {
            return false;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.tell(resource, "DELETED", &object);
        true
    }

    /// Stores an object with a new version.
    fn put(&mut self, resource: &str, name: &Name, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        // The server returns no fields without a value.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|_, value| !value.is_null());
        }
        let before = self.objects.entry(resource.to_owned()).or_default().insert(name.clone(), object.clone());
        self.tell(resource, if before.is_some() { "MODIFIED" } else { "ADDED" }, &object);
        object
    }

    /// The agents apply all sets: each node has a status with their generations.
    pub fn confirm(&mut self) {
        let of_set = |set: &&Value| {
            let meta = &set["metadata"];
            json!({"kind": "NodeMirrorSet", "name": meta["name"], "uid": meta["uid"], "generation": meta["generation"]})
        };
        let observed: Vec<Value> = self.list(SETS, None, "").iter().map(of_set).collect();
        let done = |kind: &str| json!({"type": kind, "status": "True", "reason": "AsExpected", "message": ""});
        let nodes: Vec<Name> = self.objects.get(NODES).into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for node in nodes {
            let object = json!({
                "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus", "metadata": {"name": node.1},
                "status": {"conditions": [done("Applied"), done("Reloaded")], "observedSets": observed}
            });
            self.put(STATUSES, &node, object);
        }
    }

    /// The metadata of the changes of a resource after a version. Deletions before this call are not among them: a store has no
    /// history.
    pub fn watch(&mut self, resource: &str, selector: &str, from: u64) -> mpsc::Receiver<Bytes> {
        let (events, receiver) = mpsc::channel(EVENTS);
        for object in self.list(resource, None, selector) {
            let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
            if version.is_some_and(|version: u64| version > from) {
                _ = events.try_send(event("ADDED", object));
            }
        }
        self.watchers.retain(|watcher| !watcher.events.is_closed());
        self.watchers.push(Watcher { resource: resource.to_owned(), selector: selector.to_owned(), events });
        receiver
    }

    /// A watch whose client does not read ends, as an API server ends it.
    fn tell(&mut self, resource: &str, kind: &str, object: &Value) {
        let labels = &object["metadata"]["labels"];
        self.watchers.retain(|watcher| {
            let concerns = watcher.resource == resource && selects(&watcher.selector, labels);
            if concerns { watcher.events.try_send(event(kind, object)).is_ok() } else { !watcher.events.is_closed() }
        });
    }
}

/// The metadata of an object, as `PartialObjectMetadata`.
pub(super) fn metadata_of(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

fn event(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": metadata_of(object)})).into()
}

#[cfg(test)]
mod tests;
