//! What is wrong with entries, on stderr beside the data.

use std::collections::BTreeSet;

use hypermirror_api::annotations;
use hypermirror_api::hypershift::{HostedCluster, NodePool};

use super::console;
use super::input::Input;
use super::planning::{ClusterPlan, Planner};
use crate::hosted::delivery::{Delivery, meaningless};
use crate::mirrors::finding::{Finding, Severity};
use hypermirror_api::ClusterKey;

/// Tells each finding once, errors first.
pub fn tell<'a>(findings: impl IntoIterator<Item = &'a Finding>) {
    let mut told = BTreeSet::new();
    let mut findings: Vec<_> = findings.into_iter().collect();
    findings.sort_by_key(|finding| finding.severity);
    for finding in findings {
        let text = format!("{} {}: {} ({})", finding.origin, finding.field, finding.message, finding.reason.as_str());
        if told.insert(text.clone()) {
            match finding.severity {
                Severity::Error => console::error(text),
                Severity::Warning => console::warning(text),
                // It is told where it is asked for: by check.
                Severity::Info => {}
            }
        }
    }
}

/// Tells what was noticed while reading, what of a live cluster could not be read, and for which HostedClusters nothing is
/// written whatever they declare.
pub fn tell_troubles(input: &Input) {
    tell(&input.noticed);
    for (key, why) in input.claims.refused() {
        console::warning(format!("HostedCluster/{key}: {why}"));
    }
    for malformed in &input.malformed {
        console::error(format!("{} is left out, it cannot be decoded: {}", malformed.object, malformed.message));
    }
    for absent in &input.absent {
        if input.vanished.contains(absent) {
            console::warning(format!("{} is not served and was once: what its objects said stays in force", absent.0));
        } else {
            console::warning(format!("{} is not served by the cluster", absent.0));
        }
    }
}

/// Tells what the plan of one hosted cluster leaves out.
pub fn tell_plan(planner: &Planner<'_>, plan: &ClusterPlan) {
    if let Some(value) = &plan.unknown_setting {
        console::warning(unknown_setting(&plan.key, value));
    }
    for trouble in &plan.troubles {
        console::error(format!("HostedCluster/{}: {} ({})", plan.key, trouble.message, trouble.reason.as_str()));
    }
    let namespace = plan.key.control_plane_namespace();
    for (spec, change) in planner.specs.iter().zip(&plan.plan.targets) {
        if let Some(change) = change.as_ref().filter(|change| !change.message.is_empty()) {
            console::warning(format!("Deployment {namespace}/{}: {}", spec.deployment, change.message));
        }
    }
}

/// A value of `management-mirrors` that means nothing.
pub fn unknown_setting(key: &ClusterKey, value: &str) -> String {
    let annotation = annotations::MANAGEMENT_MIRRORS;
    format!("HostedCluster/{key}: annotation {annotation} is {value:?}; it is Use or Ignore, and counts as Use")
}

/// Each value of `node-delivery` that means nothing: the object, and the value.
pub fn unknown_deliveries(cluster: &HostedCluster, pools: &[&NodePool]) -> Vec<(String, String)> {
    let of_pool = |pool: &&NodePool| Some((format!("NodePool/{}", ClusterKey::of(*pool)), Delivery::said(*pool).1?));
    let of_cluster =
        Delivery::said(cluster).1.map(|value| (format!("HostedCluster/{}", ClusterKey::of(cluster)), value));
    of_cluster.into_iter().chain(pools.iter().filter_map(of_pool)).collect()
}

/// Tells them.
pub fn tell_deliveries(cluster: &HostedCluster, pools: &[&NodePool]) {
    for (object, value) in unknown_deliveries(cluster, pools) {
        console::warning(format!("{object}: {}", meaningless(&value)));
    }
}
