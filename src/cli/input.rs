//! What the commands work on: manifests, or the same objects of a live cluster.

mod config_maps;
mod files;
mod kinds;
mod lists;
mod live;
mod manifests;
mod referable;
mod unread;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hypermirror_api::HostedClusterMirrors;
use hypermirror_api::hypershift::{HostedCluster, HostedControlPlane, NodePool};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde_json::Value;

use super::Usage;
use crate::hosted::target::TargetSpec;
use crate::management::index::claims::{Claims, ControlPlaneMeta};
use crate::mirrors::MirrorEntry;
use crate::mirrors::finding::Finding;
use hypermirror_api::ClusterKey;
pub use live::{Absent, Connection};
pub use manifests::of_documents;

/// Where the objects come from.
#[derive(Args, Clone, Debug, Default)]
pub struct InputArgs {
    /// Manifests to read instead of a live cluster; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
}

/// Which part of a live cluster a command looks at beyond HostedClusters and mirror sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// These Deployments of each control plane.
    pub targets: &'a [TargetSpec],
    /// Our reports.
    pub reports: bool,
    /// The NodePools.
    pub pools: bool,
    /// What HyperShift knows about the control planes.
    pub control_planes: bool,
    /// The namespace of the manager's Lease, which remembers the kinds that were once there.
    pub lease_namespace: Option<&'a str>,
}

/// What a mirror object is that stands in the manifests several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repetition {
    /// A mistake.
    #[default]
    Refused,
    /// Several results of oc-mirror, which uses the same names each time.
    Kept,
}

/// A mirror object with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorObject {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Why a node leaves it out of its own objects, if it does.
    pub foreign_to_nodes: Option<&'static str>,
    /// Its entries.
    pub entries: Vec<MirrorEntry>,
}

/// An object of a live cluster that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// `Kind/[namespace/]name`.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// HostedClusters, in the order of the input.
    pub clusters: Vec<HostedCluster>,
    /// ICSP, IDMS and ITMS.
    pub mirror_sets: Vec<MirrorObject>,
    /// ImageMirrorDigestSets, which are for nodes alone.
    pub node_sets: Vec<MirrorObject>,
    /// Deployments, in the order of the input.
    pub deployments: Vec<Value>,
    /// Each ImageStream of OLM catalogs.
    pub image_streams: Vec<Value>,
    /// Reports.
    pub reports: Vec<HostedClusterMirrors>,
    /// NodePools, in the order of the input.
    pub pools: Vec<NodePool>,
    /// The ConfigMaps that HostedClusters and NodePools refer to.
    pub config_maps: Vec<ConfigMap>,
    /// HostedControlPlanes.
    pub control_planes: Vec<HostedControlPlane>,
    /// What is no error in the objects of manifests and may surprise, such as a misspelt field.
    pub noticed: Vec<Finding>,
    /// Whose each control-plane namespace is.
    pub claims: Claims,
    /// What a live cluster has and we cannot read; in manifests it is an error.
    pub malformed: Vec<Malformed>,
    /// Kinds that a live cluster does not serve.
    pub absent: Vec<Absent>,
    /// Those of them that were once there: the manager keeps what their objects said.
    pub vanished: Vec<Absent>,
    /// Whether it comes from a live cluster.
    pub is_live: bool,
}

impl InputArgs {
    /// Whether manifests or a cluster were named.
    pub fn is_given(&self) -> bool {
        !self.files.is_empty() || self.connection.is_given()
    }

    /// Reads the manifests, or else the live cluster.
    pub async fn load(&self, wanted: Wanted<'_>) -> Result<Input> {
        self.load_with(wanted, Repetition::Refused).await
    }

    /// The same; `repetition` says whether a mirror object may stand in the manifests several times.
    pub async fn load_with(&self, wanted: Wanted<'_>, repetition: Repetition) -> Result<Input> {
        if self.files.is_empty() {
            return live::load(&self.connection, wanted).await.map(Input::judged);
        }
        if self.connection.is_given() {
            return Err(Usage::error(
                "-f reads manifests, --kubeconfig and --context a live cluster: give one of them",
            ));
        }
        manifests::load(&self.files, repetition).map(Input::judged)
    }
}

impl Input {
    /// Judges whose each control-plane namespace is, by the HostedClusters and HostedControlPlanes that were read.
    fn judged(mut self) -> Self {
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

    /// What HyperShift knows about the control plane of a hosted cluster.
    pub fn control_plane_of(&self, key: &ClusterKey) -> Option<&HostedControlPlane> {
        let wanted = ClusterKey { namespace: key.control_plane_namespace(), name: key.name.clone() };
        self.control_planes.iter().find(|control_plane| ClusterKey::of(*control_plane) == wanted)
    }

    /// The HostedClusters that a command is about: that one, the only one, or none where there is none.
    pub fn select(&self, wanted: Option<&ClusterKey>) -> Result<Option<&HostedCluster>> {
        let names =
            || self.clusters.iter().map(|cluster| ClusterKey::of(cluster).to_string()).collect::<Vec<_>>().join(", ");
        match (wanted, self.clusters.as_slice()) {
            (Some(wanted), clusters) => {
                let found = clusters.iter().find(|cluster| ClusterKey::of(*cluster) == *wanted);
                let known =
                    if clusters.is_empty() { "there is none".to_owned() } else { format!("there is {}", names()) };
                found.map(Some).ok_or_else(|| Usage::error(format!("no HostedCluster {wanted} in the input; {known}")))
            }
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(only)),
            (None, _) => {
                let message =
                    format!("the input holds several HostedClusters: choose one with --hosted-cluster: {}", names());
                Err(Usage::error(message))
            }
        }
    }
}
