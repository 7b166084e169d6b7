//! What is known of one hosted cluster. Pure.

use hypermirror_api::hypershift::{HostedCluster, NodePool};
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus, MirrorCoverageStatus};

use super::super::check::{Row, declared_findings};
use super::super::input::{ControlPlane, Input, Plane};
use super::consumers::{self, Puller};
use super::fleet::FleetRow;
use super::matrix::{self, Need};
use super::timeline::{Moment, moments};
use crate::manager::options::PlanOptions;
use crate::mirrors::Resolved;

/// One hosted cluster.
pub struct ClusterView<'a> {
    /// Its reports.
    pub row: FleetRow<'a>,
    /// Its object. None if only reports name it.
    pub cluster: Option<&'a HostedCluster>,
    pub pools: Vec<&'a NodePool>,
    /// The declared map of its control plane, or why it is not known.
    pub map: Result<Resolved, String>,
    pub pullers: Vec<Puller>,
    pub needs: Vec<Need>,
    /// What `check` finds about it.
    pub findings: Vec<Row>,
    pub moments: Vec<Moment>,
}

/// The part of the input that concerns one hosted cluster, with what its control plane has of its own.
pub fn narrowed(input: &Input, key: &ClusterKey, own: ControlPlane) -> Input {
    let of = |object: &ClusterKey| object == key;
    let is_near = |namespace: Option<&str>| namespace == Some(key.namespace.as_str());
    let plane = Plane { replica_sets: own.replica_sets, ..Plane::default() };
    Input {
        clusters: input.clusters.iter().filter(|cluster| of(&ClusterKey::of(*cluster))).cloned().collect(),
        mirror_sets: input.mirror_sets.clone(),
        node_sets: input.node_sets.clone(),
        deployments: own.deployments,
        reports: input.reports.iter().filter(|report| of(&ClusterKey::of(*report))).cloned().collect(),
        coverages: input.coverages.iter().filter(|coverage| of(&ClusterKey::of(*coverage))).cloned().collect(),
        pools: input.pools_of(key).into_iter().cloned().collect(),
        config_maps: input
            .config_maps
            .iter()
            .filter(|map| is_near(map.metadata.namespace.as_deref()))
            .cloned()
            .collect(),
        signature_policies: input.signature_policies.clone(),
        claims: input.claims.clone(),
        is_live: input.is_live,
        plane,
        ..Input::default()
    }
}

impl<'a> ClusterView<'a> {
    /// What the input, narrowed to this hosted cluster, has about it. None if it has nothing.
    pub fn of(input: &'a Input, key: &ClusterKey, options: &PlanOptions) -> Option<Self> {
        let cluster = input.clusters.iter().find(|cluster| ClusterKey::of(*cluster) == *key);
        let report: Option<&HostedClusterMirrorsStatus> = input
            .reports
            .iter()
            .find(|report| ClusterKey::of(*report) == *key)
            .and_then(|report| report.status.as_ref());
        let coverage: Option<&MirrorCoverageStatus> =
            input.coverages.iter().find(|found| ClusterKey::of(*found) == *key).and_then(|found| found.status.as_ref());
        if cluster.is_none() && report.is_none() && coverage.is_none() {
            return None;
        }
        let pools = input.pools_of(key);
        let pullers = cluster.map(|cluster| consumers::of_cluster(input, cluster)).unwrap_or_default();
        let targets: Vec<String> = options.targets().into_iter().map(|target| target.deployment).collect();
        Some(Self {
            map: cluster.map_or_else(|| Ok(Resolved::default()), |cluster| consumers::override_map(input, cluster)),
            needs: cluster.map(|cluster| matrix::needs(cluster, &pools, &pullers, coverage)).unwrap_or_default(),
            findings: declared_findings(input, options),
            moments: moments(&input.plane.replica_sets, &targets, report, coverage),
            row: FleetRow { key: key.clone(), report, coverage },
            cluster,
            pools,
            pullers,
        })
    }

    /// The releases that it wants: the version if it is known, else the image.
    pub fn release(&self) -> String {
        let version = self.cluster.and_then(|cluster| cluster.status.as_ref()?.version.as_ref()?.history.first());
        let version = version.map(|applied| applied.version.clone()).filter(|version| !version.is_empty());
        version.or_else(|| self.release_image().map(str::to_owned)).unwrap_or_default()
    }

    /// The release image that it wants.
    pub fn release_image(&self) -> Option<&str> {
        self.cluster.and_then(|cluster| cluster.spec.release.as_ref()).map(|release| release.image.as_str())
    }
}
