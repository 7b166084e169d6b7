//! The objects in the bundle, by file.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use hypermirror_api::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Resource as _};
use serde_json::Value;

use super::super::MANAGER_NAMESPACE;
use super::reader::{Reader, named};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::hosted::target::TargetSpec;
use crate::redaction::Redactor;
use crate::redaction::shapes::of_kind;

/// Requests at the same time.
const AT_ONCE: usize = 16;
/// Namespaces whose events are read.
const MAX_NAMESPACES: usize = 200;

/// Kinds that are listed in all namespaces: group, version, kind, plural.
const EVERYWHERE: [(&str, &str, &str, &str); 12] = [
    (names::GROUP, "v1alpha1", "HostedClusterMirrors", "hostedclustermirrors"),
    (names::GROUP, "v1alpha1", "MirrorCoverage", "mirrorcoverages"),
    (names::GROUP, "v1alpha1", "ImportRule", "importrules"),
    ("registry.kubecontroller.io", "v1alpha1", "Registry", "registries"),
    ("skopeo.io", "v1alpha1", "Image", "images"),
    ("buildah.io", "v1alpha1", "ImageBuilder", "imagebuilders"),
    ("hypershift.openshift.io", "v1beta1", "HostedCluster", "hostedclusters"),
    ("hypershift.openshift.io", "v1beta1", "NodePool", "nodepools"),
    ("hypershift.openshift.io", "v1beta1", "HostedControlPlane", "hostedcontrolplanes"),
    ("operator.openshift.io", "v1alpha1", "ImageContentSourcePolicy", "imagecontentsourcepolicies"),
    ("config.openshift.io", "v1", "ImageDigestMirrorSet", "imagedigestmirrorsets"),
    ("config.openshift.io", "v1", "ImageTagMirrorSet", "imagetagmirrorsets"),
];
/// Kinds that are listed in hypermirror's own namespace.
const OWN: [(&str, &str, &str, &str); 3] = [
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Pod", "pods"),
    ("coordination.k8s.io", "v1", "Lease", "leases"),
];
const EVENTS: (&str, &str, &str, &str) = ("events.k8s.io", "v1", "Event", "events");
/// Kinds whose events are kept. Those of other objects of the same namespaces are nobody's business.
const REGARDING: [&str; 9] = [
    "HostedCluster",
    "NodePool",
    "HostedClusterMirrors",
    "MirrorCoverage",
    "Registry",
    "Image",
    "ImageBuilder",
    "ImportRule",
    "Deployment",
];

/// The path of a file, and its objects.
#[derive(Default)]
pub struct Objects {
    files: BTreeMap<Vec<String>, Vec<Value>>,
}

fn resource((group, version, kind, plural): (&str, &str, &str, &str)) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn file(plural: &str) -> Vec<String> {
    vec!["objects".to_owned(), format!("{plural}.json")]
}

impl Objects {
    /// Reads them from the management cluster.
    pub async fn read(reader: &mut Reader, targets: &[TargetSpec]) -> Self {
        let mut objects = Self::default();
        for kind in EVERYWHERE {
            let found = reader.list(&resource(kind), None).await;
            objects.add(file(kind.3), found);
        }
        for kind in OWN {
            let found = reader.list(&resource(kind), Some(MANAGER_NAMESPACE)).await;
            objects.add(file(kind.3), found);
        }
        let found = read_targets(reader, &objects.clusters(), targets).await;
        objects.add(file("targets"), found);
        objects.read_events(reader).await;
        objects
    }

    /// Adds a file.
    pub fn add(&mut self, path: Vec<String>, objects: Vec<Value>) {
        self.files.insert(path, objects);
    }

    /// The objects of a kind.
    pub fn of(&self, plural: &str) -> &[Value] {
        self.files.get(&file(plural)).map(Vec::as_slice).unwrap_or_default()
    }

    /// `namespace/name` of the HostedClusters.
    pub fn clusters(&self) -> Vec<hypermirror_api::ClusterKey> {
        let key = |cluster: &Value| {
            let text = |field: &str| cluster["metadata"][field].as_str().map(str::to_owned);
            Some(hypermirror_api::ClusterKey { namespace: text("namespace")?, name: text("name")? })
        };
        self.of("hostedclusters").iter().filter_map(key).collect()
    }

    async fn read_events(&mut self, reader: &mut Reader) {
        let mut namespaces: BTreeSet<String> = [MANAGER_NAMESPACE.to_owned()].into();
        for key in self.clusters() {
            namespaces.extend([key.control_plane_namespace(), key.namespace]);
        }
        let count = namespaces.len();
        if count > MAX_NAMESPACES {
            reader.miss(
                "events",
                format!("only those of the first {MAX_NAMESPACES} of {count} namespaces are in the bundle"),
            );
        }
        let mut events = Vec::new();
        for namespace in namespaces.into_iter().take(MAX_NAMESPACES) {
            let found = reader.list(&resource(EVENTS), Some(&namespace)).await;
            let is_ours = |event: &Value| {
                let kind = event["regarding"]["kind"].as_str().unwrap_or_default();
                namespace == MANAGER_NAMESPACE || REGARDING.contains(&kind)
            };
            events.extend(found.into_iter().filter(is_ours));
        }
        self.add(file("events"), events);
    }

    /// Remembers the names in all objects.
    pub fn learn(&self, redactor: &mut Redactor) {
        for object in self.files.values().flatten() {
            redactor.learn(object, &of_kind(kind(object)));
        }
        for key in self.clusters() {
            redactor.learn_text(&key.control_plane_namespace());
        }
    }

    /// Without secrets.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let keep = |object: &Value| redactor.keep(object, &of_kind(kind(object)));
        let files = self.files.iter().map(|(path, objects)| (path.clone(), objects.iter().filter_map(keep).collect()));
        Self { files: files.collect() }
    }

    /// The files that have objects.
    pub fn files(&self) -> impl Iterator<Item = (&Vec<String>, &Vec<Value>)> {
        self.files.iter().filter(|(_, objects)| !objects.is_empty())
    }
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The Deployments that read overrides. Those that do not exist are not missing.
async fn read_targets(
    reader: &mut Reader,
    clusters: &[hypermirror_api::ClusterKey],
    targets: &[TargetSpec],
) -> Vec<Value> {
    let resource = ApiResource::erase::<Deployment>(&());
    let end = reader.end();
    let wanted = clusters.iter().flat_map(|key| targets.iter().map(|target| (key.control_plane_namespace(), target)));
    let (client, resource) = (&reader.client, &resource);
    let reads = wanted.map(|(namespace, target)| async move {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, resource);
        let read = tokio::time::timeout_at(end, answered(api.get_opt(&target.deployment))).await;
        let what = format!("{} {namespace}/{}", Deployment::kind(&()), target.deployment);
        match read {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err((what, Cause(&error).to_string())),
            Err(_) => Err((what, "the time is over (--timeout)".to_owned())),
        }
    });
    let read: Vec<_> = stream::iter(reads).buffered(AT_ONCE).collect().await;
    let mut found = Vec::new();
    for answer in read {
        match answer {
            Ok(object) => found.extend(object.and_then(|object| named(object, resource))),
            Err((what, why)) => reader.miss(what, why),
        }
    }
    found
}
