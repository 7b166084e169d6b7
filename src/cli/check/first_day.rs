//! What usually fails on the first day, as far as the objects of the input show it.

use hypermirror_api::hypershift::{HostedCluster, NodePool};
use hypermirror_api::{ClusterKey, MirrorCoverageStatus};
use jiff::Timestamp;
use serde_json::Value;

use super::super::input::Input;
use super::super::planning::ClusterPlan;
use crate::diagnosis::{Diagnosis, signatures, sources, writers};
use crate::hosted::coverage::KnownCoverage;
use crate::hosted::target::TargetSpec;
use crate::mirrors::Resolved;
use crate::mirrors::layers::resolve;

const NO_COVERAGE: &str = "the hosted cluster has no MirrorCoverage";

/// The images of releases that a HostedCluster and its NodePools name.
fn releases<'a>(cluster: &'a HostedCluster, pools: &[&'a NodePool]) -> Vec<&'a str> {
    let spec = &cluster.spec;
    let of_cluster = spec.release.iter().chain(&spec.control_plane_release);
    let mut images: Vec<&str> = of_cluster
        .chain(pools.iter().filter_map(|pool| pool.spec.release.as_ref()))
        .map(|release| release.image.as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    images
}

/// Diagnoses about the management cluster, whose nodes pull the images of control planes.
pub fn of_management(input: &Input) -> Vec<Diagnosis> {
    let (resolved, _) = resolve(&input.mirror_entries());
    let mut images: Vec<&str> = input.clusters.iter().flat_map(|cluster| releases(cluster, &[])).collect();
    images.sort_unstable();
    images.dedup();
    // Without sources there is nothing to match for thousands of clusters.
    if resolved.is_empty() {
        return Vec::new();
    }
    sources::tag_mirrors_only("Nodes/management", &resolved, images)
}

/// Diagnoses about one hosted cluster.
pub fn of_cluster(
    input: &Input,
    cluster: &HostedCluster,
    plan: &ClusterPlan,
    targets: &[TargetSpec],
) -> Vec<Diagnosis> {
    let key = &plan.key;
    let own = input.own_sources(cluster);
    let mut found = Vec::new();
    let mut strict: Vec<String> = sources::without_fallback(&plan.map.map.resolved).cloned().collect();
    for pool in input.pools_of(key) {
        let pool_key = ClusterKey::of(pool);
        let of_pool = input.pool_sources(pool);
        let (resolved, _): (Resolved, _) = resolve(own.entries.iter().chain(of_pool.entries.iter()));
        let object = format!("NodePool/{pool_key}");
        found.extend(sources::tag_mirrors_only(&object, &resolved, releases(cluster, &[pool])));
        strict.extend(sources::without_fallback(&resolved).cloned());
    }
    strict.sort_unstable();
    strict.dedup();
    // Manifests seldom have the MirrorCoverages, which only the registry-manager writes.
    if input.is_live {
        found.extend(sources::unproven(key, &strict, why_unproven(input, key).as_deref()));
    }
    found.extend(coverage_of(input, key).map(|coverage| signatures::missing(key, coverage)).into_iter().flatten());
    let namespace = key.control_plane_namespace();
    for target in targets {
        let is = |deployment: &&Value| {
            let metadata = &deployment["metadata"];
            metadata["namespace"] == namespace.as_str() && metadata["name"] == target.deployment.as_str()
        };
        let deployment = input.deployments.iter().find(is);
        found.extend(deployment.and_then(|deployment| writers::diagnose_overrides(key, deployment, target)));
    }
    for diagnosis in &mut found {
        diagnosis.hosted_cluster = Some(key.clone());
    }
    found
}

/// What the registry-manager has found out about a hosted cluster.
pub fn coverage_of<'a>(input: &'a Input, key: &ClusterKey) -> Option<&'a MirrorCoverageStatus> {
    input.coverages.iter().find(|coverage| ClusterKey::of(*coverage) == *key)?.status.as_ref()
}

fn why_unproven(input: &Input, key: &ClusterKey) -> Option<String> {
    let Some(known) = coverage_of(input, key).and_then(KnownCoverage::of) else { return Some(NO_COVERAGE.to_owned()) };
    let condition = known.condition(Timestamp::now());
    (condition.status != "True").then_some(condition.message)
}
