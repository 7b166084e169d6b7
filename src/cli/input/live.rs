//! Reads the objects from a live cluster.

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hypermirror_api::hypershift::{HostedCluster, HostedControlPlane, NodePool};
use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use hypermirror_api::{HostedClusterMirrors, Image, ImageBuilder, ImportRule, MirrorCoverage, Reason, Registry, names};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{GetParams, ListParams};
use kube::core::{DeserializeGuard, PartialObjectMeta, Request};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::catalogs;
use super::manifests::mirror_object;
use super::{Input, Malformed, Wanted};
use crate::client::connect::{Origin, connect_to};
use crate::client::pages::Pages;
use crate::hosted::target::TargetSpec;
use crate::management::index::claims::ControlPlaneMeta;
use crate::management::lease::LeaseMemory;
use crate::management::mirror_kind::MirrorKind;
use crate::telemetry::requests::RequestMetrics;
use hypermirror_api::ClusterKey;

/// Objects per page, the default of kubectl: it limits the memory for one response.
const PAGE: u32 = 500;
/// Concurrent reads of single objects, so that a large fleet is read quickly without overloading the API server.
const READS: usize = 16;

/// The cluster to read.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// Kubeconfig of the management cluster (default: KUBECONFIG, then the pod's ServiceAccount)
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// A kind that the cluster does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent(pub &'static str);

impl Connection {
    /// Whether a flag is set.
    pub fn is_set(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Connects to the cluster.
    pub async fn connect(&self) -> Result<Client> {
        let origin = Origin { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let client = connect_to(&origin, &RequestMetrics::default()).await;
        client.context("no cluster to read (pass manifests with -f, or a kubeconfig with --kubeconfig)")
    }
}

/// Reads the requested objects.
pub async fn load(client: Client, wanted: Wanted<'_>) -> Result<Input> {
    let mut reader = Reader { client, input: Input { is_live: true, ..Input::default() } };
    reader.input.clusters = reader.list("HostedCluster", |object: HostedCluster| object).await?;
    reader.read_owners().await?;
    let sets =
        reader.list("ImageContentSourcePolicy", |o: ImageContentSourcePolicy| mirror_object(&o, &o.spec)).await?;
    reader.input.mirror_sets.extend(sets);
    let sets = reader.list("ImageDigestMirrorSet", |o: ImageDigestMirrorSet| mirror_object(&o, &o.spec)).await?;
    reader.input.mirror_sets.extend(sets);
    let sets = reader.list("ImageTagMirrorSet", |o: ImageTagMirrorSet| mirror_object(&o, &o.spec)).await?;
    reader.input.mirror_sets.extend(sets);
    if wanted.reports {
        reader.input.reports = reader.list("HostedClusterMirrors", |object: HostedClusterMirrors| object).await?;
        reader.input.coverages = reader.list("MirrorCoverage", |object: MirrorCoverage| object).await?;
    }
    if wanted.pools {
        reader.input.pools = reader.list("NodePool", |object: NodePool| object).await?;
    }
    reader.read_config_maps().await?;
    if wanted.control_planes {
        reader.read_control_planes().await?;
    }
    reader.read_targets(wanted).await?;
    if !wanted.targets.is_empty() {
        catalogs::read(&reader.client, &mut reader.input).await?;
    }
    if wanted.plane {
        reader.read_plane().await?;
    }
    if let Some(namespace) = wanted.lease_namespace {
        reader.recall(namespace).await?;
    }
    Ok(reader.input.with_claims())
}

/// What a control plane has of its own.
#[derive(Clone, Debug, Default)]
pub struct ControlPlane {
    /// The target Deployments that exist.
    pub deployments: Vec<Value>,
    /// Metadata of the ReplicaSets of all Deployments.
    pub replica_sets: Vec<PartialObjectMeta<ReplicaSet>>,
}

/// Reads what the control plane in one namespace has of its own.
pub async fn control_plane(client: &Client, namespace: &str, targets: &[TargetSpec]) -> Result<ControlPlane> {
    let names: Vec<String> = targets.iter().map(|spec| spec.deployment.clone()).collect();
    let reads = names.into_iter().map(|name| async move { read_deployment(client, namespace, &name).await });
    let deployments: Vec<Option<Value>> = stream::iter(reads).buffered(READS).try_collect().await?;
    let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let mut pages = Pages::of(ListParams::default(), PAGE);
    let mut replica_sets = Vec::new();
    while let Some(params) = pages.next() {
        let page = api.list_metadata(params).await;
        let page = page.with_context(|| format!("failed to list ReplicaSets in namespace {namespace}"))?;
        pages.read(&page.metadata);
        replica_sets.extend(page.items);
    }
    Ok(ControlPlane { deployments: deployments.into_iter().flatten().collect(), replica_sets })
}

struct Reader {
    client: Client,
    input: Input,
}

impl Reader {
    /// Lists all objects of a kind. Objects that cannot be decoded, and kinds that are not served, are recorded in the input.
    async fn list<K, T>(&mut self, kind: &'static str, read: impl Fn(K) -> T) -> Result<Vec<T>>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<DeserializeGuard<K>> = Api::all(self.client.clone());
        let mut pages = Pages::of(ListParams::default(), PAGE);
        let mut found = Vec::new();
        while let Some(params) = pages.next() {
            let page = match api.list(params).await {
                Ok(page) => page,
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.input.absent.push(Absent(kind));
                    return Ok(found);
                }
                Err(error) => return Err(error).with_context(|| format!("failed to list objects of kind {kind}")),
            };
            pages.read(&page.metadata);
            for object in page.items {
                match object.0 {
                    Ok(object) => found.push(read(object)),
                    Err(invalid) => {
                        let namespace =
                            invalid.metadata.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
                        let object = format!("{kind}/{namespace}{}", invalid.metadata.name.unwrap_or_default());
                        self.input.malformed.push(Malformed { object, message: invalid.error });
                    }
                }
            }
        }
        Ok(found)
    }

    /// Reads what the registry-manager works on. A user who may not see one of these kinds may see everything else.
    async fn read_plane(&mut self) -> Result<()> {
        self.input.plane.registries = self.list_permitted("Registry", |object: Registry| object).await?;
        self.input.plane.images = self.list_permitted("Image", |object: Image| object).await?;
        self.input.plane.builders = self.list_permitted("ImageBuilder", |object: ImageBuilder| object).await?;
        self.input.plane.import_rules = self.list_permitted("ImportRule", |object: ImportRule| object).await?;
        Ok(())
    }

    /// [`Self::list`], with nothing of a kind that the user may not list.
    async fn list_permitted<K, T>(&mut self, kind: &'static str, read: impl Fn(K) -> T) -> Result<Vec<T>>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        match self.list(kind, read).await {
            Err(error) if is_forbidden(&error) => {
                self.input.plane.forbidden.push(kind);
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// Determines from the Lease and the reports which of the absent kinds were served before.
    async fn recall(&mut self, namespace: &str) -> Result<()> {
        let is_absent = |kind: &MirrorKind| self.input.absent.contains(&Absent(kind.kind()));
        let absent: Vec<MirrorKind> = MirrorKind::ALL.into_iter().filter(is_absent).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let lease = api.get_metadata_opt(names::LEASE).await;
        let lease = lease.with_context(|| format!("failed to read the manager's Lease in namespace {namespace}"))?;
        let once_there = lease.as_ref().map(LeaseMemory::of).unwrap_or_default().once_there;
        let vanished = absent.into_iter().filter(|kind| once_there.contains(kind) || self.is_reported_gone(*kind));
        self.input.vanished = vanished.map(|kind| Absent(kind.kind())).collect();
        Ok(())
    }

    fn is_reported_gone(&self, kind: MirrorKind) -> bool {
        let statuses = self.input.reports.iter().filter_map(|report| report.status.as_ref());
        let mut conditions = statuses.flat_map(|status| &status.conditions);
        conditions.any(|condition| {
            condition.reason == Reason::KindVanished.as_str() && condition.message.contains(kind.crd())
        })
    }

    /// Reads the ConfigMaps that are referenced.
    async fn read_config_maps(&mut self) -> Result<()> {
        let names = self.input.references();
        let client = &self.client;
        let reads = names.into_iter().map(|(namespace, name)| async move {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
            let read = api.get_opt(&name).await;
            read.with_context(|| format!("failed to read ConfigMap {namespace}/{name}"))
        });
        let read: Vec<Option<ConfigMap>> = stream::iter(reads).buffered(READS).try_collect().await?;
        self.input.config_maps = read.into_iter().flatten().collect();
        Ok(())
    }

    /// Determines the owners of control-plane namespaces from the metadata of HostedControlPlanes, if the kind is served.
    async fn read_owners(&mut self) -> Result<()> {
        let api: Api<HostedControlPlane> = Api::all(self.client.clone());
        let mut pages = Pages::of(ListParams::default(), PAGE);
        while let Some(params) = pages.next() {
            let page = match api.list_metadata(params).await {
                Ok(page) => page,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(error) => return Err(error).context("failed to list HostedControlPlanes"),
            };
            pages.read(&page.metadata);
            for control_plane in &page.items {
                self.input.claims.apply(ControlPlaneMeta::of(control_plane));
            }
        }
        Ok(())
    }

    async fn read_control_planes(&mut self) -> Result<()> {
        let client = &self.client;
        let reads = self.input.clusters.iter().map(ClusterKey::of).map(|key| async move {
            let namespace = key.control_plane_namespace();
            let api: Api<HostedControlPlane> = Api::namespaced(client.clone(), &namespace);
            let read = api.get_opt(&key.name).await;
            read.with_context(|| format!("failed to read HostedControlPlane {namespace}/{}", key.name))
        });
        let read: Vec<Option<HostedControlPlane>> = stream::iter(reads).buffered(READS).try_collect().await?;
        self.input.control_planes = read.into_iter().flatten().collect();
        Ok(())
    }

    async fn read_targets(&mut self, wanted: Wanted<'_>) -> Result<()> {
        let names = self.input.clusters.iter().flat_map(|cluster| {
            let namespace = ClusterKey::of(cluster).control_plane_namespace();
            wanted.targets.iter().map(move |spec| (namespace.clone(), spec.deployment.clone()))
        });
        let names: Vec<_> = names.collect();
        let client = &self.client;
        let reads =
            names.into_iter().map(|(namespace, name)| async move { read_deployment(client, &namespace, &name).await });
        let read: Vec<Option<Value>> = stream::iter(reads).buffered(READS).try_collect().await?;
        self.input.deployments = read.into_iter().flatten().collect();
        Ok(())
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if status.code == 403)
}

/// A Deployment as JSON, which preserves fields that this version does not know.
async fn read_deployment(client: &Client, namespace: &str, name: &str) -> Result<Option<Value>> {
    let url = Deployment::url_path(&(), Some(namespace));
    let request = Request::new(url).get(name, &GetParams::default())?;
    match client.request::<Value>(request).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read Deployment {namespace}/{name}")),
    }
}
