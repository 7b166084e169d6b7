//! The input of commands: manifests, or the same objects of a live cluster.

mod config_maps;
mod decode;
mod files;
mod kinds;
mod lists;
mod live;
mod manifests;
mod plane;
mod referable;
mod unread;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hypermirror_api::hypershift::{HostedCluster, HostedControlPlane, NodePool};
use hypermirror_api::{HostedClusterMirrors, MirrorCoverage};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde_json::Value;

use super::Usage;
use crate::hosted::target::TargetSpec;
use crate::management::index::claims::{Claims, ControlPlaneMeta};
use crate::mirrors::MirrorEntry;
use crate::mirrors::finding::Finding;
use crate::mirrors::signature_policy::SignaturePolicy;
use hypermirror_api::ClusterKey;
pub use live::{Absent, Connection, ControlPlane, control_plane, load as load_live};
pub use manifests::of_documents;
pub use plane::Plane;

/// The source of the objects.
#[derive(Args, Clone, Debug, Default)]
pub struct InputArgs {
    /// Manifests to read instead of a live cluster; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
}

/// The objects of a live cluster that a command needs in addition to HostedClusters and mirror sets.
#[expect(clippy::struct_excessive_bools, reason = "each command needs some of the kinds, in any combination")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Deployments of each control plane.
    pub targets: &'a [TargetSpec],
    /// HostedClusterMirrors and MirrorCoverages.
    pub reports: bool,
    /// NodePools.
    pub pools: bool,
    /// HostedControlPlanes.
    pub control_planes: bool,
    /// Objects of the registry-manager; of manifests also ReplicaSets.
    pub plane: bool,
    /// The namespace of the manager's Lease, which has the kinds that were served before.
    pub lease_namespace: Option<&'a str>,
}

/// How to treat a mirror object that is in the manifests several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repetition {
    /// As an error.
    #[default]
    Refused,
    /// As valid: oc-mirror uses the same names in all its results.
    Kept,
}

/// A mirror object with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorObject {
    pub kind: &'static str,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// Why agents ignore it, if they do.
    pub foreign_to_nodes: Option<&'static str>,
    pub entries: Vec<MirrorEntry>,
}

/// An object of a live cluster that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// `Kind/[namespace/]name`.
    pub object: String,
    /// The error.
    pub message: String,
}

/// The objects that were read.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// HostedClusters, in the order of the input.
    pub clusters: Vec<HostedCluster>,
    /// ICSP, IDMS and ITMS.
    pub mirror_sets: Vec<MirrorObject>,
    /// ImageMirrorDigestSets, which apply only to nodes.
    pub node_sets: Vec<MirrorObject>,
    /// Deployments, in the order of the input.
    pub deployments: Vec<Value>,
    /// `ImageStream`s of OLM catalogs.
    pub image_streams: Vec<Value>,
    pub reports: Vec<HostedClusterMirrors>,
    /// MirrorCoverages.
    pub coverages: Vec<MirrorCoverage>,
    /// NodePools, in the order of the input.
    pub pools: Vec<NodePool>,
    /// The ConfigMaps that HostedClusters and NodePools reference.
    pub config_maps: Vec<ConfigMap>,
    pub control_planes: Vec<HostedControlPlane>,
    /// Objects of the registry-manager.
    pub plane: Plane,
    /// Objects `ClusterImagePolicy` and `ImagePolicy` of manifests.
    pub signature_policies: Vec<SignaturePolicy>,
    /// Findings about the manifests, such as unknown fields.
    pub noticed: Vec<Finding>,
    /// The owners of control-plane namespaces.
    pub claims: Claims,
    /// Objects of a live cluster that cannot be decoded. In manifests they are errors.
    pub malformed: Vec<Malformed>,
    /// Kinds that a live cluster does not serve.
    pub absent: Vec<Absent>,
    /// Absent kinds that were served before. The manager keeps their mirrors.
    pub vanished: Vec<Absent>,
    /// Whether the input is a live cluster.
    pub is_live: bool,
}

impl InputArgs {
    /// Whether manifests or a cluster are specified.
    pub fn is_set(&self) -> bool {
        !self.files.is_empty() || self.connection.is_set()
    }

    /// Reads the manifests or, without `-f`, the live cluster.
    pub async fn load(&self, wanted: Wanted<'_>) -> Result<Input> {
        self.load_with(wanted, Repetition::Refused).await
    }

    /// [`Self::load`] with a rule for mirror objects that are in the manifests several times.
    pub async fn load_with(&self, wanted: Wanted<'_>, repetition: Repetition) -> Result<Input> {
        if self.files.is_empty() {
            return live::load(self.connection.connect().await?, wanted).await;
        }
        if self.connection.is_set() {
            return Err(Usage::error(
                "-f cannot be used with --kubeconfig or --context: the input is either manifests or a live cluster",
            ));
        }
        manifests::load(&self.files, repetition, wanted.plane).map(Input::with_claims)
    }
}

impl Input {
    /// Determines the owner of each control-plane namespace.
    fn with_claims(mut self) -> Self {
        for cluster in &self.clusters {
            self.claims.claim(&ClusterKey::of(cluster));
        }
        for control_plane in &self.control_planes {
            self.claims.apply(ControlPlaneMeta::of(control_plane));
        }
        self
    }

    /// The entries of ICSP, IDMS and ITMS.
    pub fn mirror_entries(&self) -> Vec<MirrorEntry> {
        self.mirror_sets.iter().flat_map(|object| object.entries.iter().cloned()).collect()
    }

    /// The NodePools of a hosted cluster, by name.
    pub fn pools_of(&self, key: &ClusterKey) -> Vec<&NodePool> {
        let is_of = |pool: &&NodePool| {
            pool.spec.cluster_name == key.name && pool.metadata.namespace.as_deref() == Some(&key.namespace)
        };
        let mut pools: Vec<&NodePool> = self.pools.iter().filter(is_of).collect();
        pools.sort_by_key(|pool| pool.name_any());
        pools
    }

    /// The HostedControlPlane of a hosted cluster.
    pub fn control_plane_of(&self, key: &ClusterKey) -> Option<&HostedControlPlane> {
        let wanted = ClusterKey { namespace: key.control_plane_namespace(), name: key.name.clone() };
        self.control_planes.iter().find(|control_plane| ClusterKey::of(*control_plane) == wanted)
    }

    /// The HostedCluster of a command: the selected one, or the only one. `None` if the input has none.
    pub fn select(&self, wanted: Option<&ClusterKey>) -> Result<Option<&HostedCluster>> {
        let names =
            || self.clusters.iter().map(|cluster| ClusterKey::of(cluster).to_string()).collect::<Vec<_>>().join(", ");
        match (wanted, self.clusters.as_slice()) {
            (Some(wanted), clusters) => {
                let found = clusters.iter().find(|cluster| ClusterKey::of(*cluster) == *wanted);
                let known = if clusters.is_empty() { "none".to_owned() } else { names() };
                found.map(Some).ok_or_else(|| {
                    Usage::error(format!("HostedCluster {wanted} is not in the input (available: {known})"))
                })
            }
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(only)),
            (None, _) => {
                let message =
                    format!("the input has several HostedClusters; select one with --hosted-cluster: {}", names());
                Err(Usage::error(message))
            }
        }
    }
}
