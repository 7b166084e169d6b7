//! Reports findings and input problems on stderr.

use std::collections::BTreeSet;

use hypermirror_api::annotations;
use hypermirror_api::hypershift::{HostedCluster, NodePool};

use super::console;
use super::input::Input;
use super::planning::ClusterPlan;
use crate::hosted::delivery::{Delivery, invalid_delivery};
use crate::hosted::proof::held::HeldSources;
use crate::mirrors::finding::{Finding, Severity};
use hypermirror_api::ClusterKey;

/// Reports each finding once, errors first.
pub fn report<'a>(findings: impl IntoIterator<Item = &'a Finding>) {
    let mut reported = BTreeSet::new();
    let mut findings: Vec<_> = findings.into_iter().collect();
    findings.sort_by_key(|finding| finding.severity);
    for finding in findings {
        let text = format!("{} {}: {} ({})", finding.origin, finding.field, finding.message, finding.reason.as_str());
        if reported.insert(text.clone()) {
            match finding.severity {
                Severity::Error => console::error(text),
                Severity::Warning => console::warning(text),
                // Only `check` reports these.
                Severity::Info => {}
            }
        }
    }
}

/// Reports findings about the input, objects that were not read, and HostedClusters that do not own their control-plane
/// namespace.
pub fn report_input(input: &Input) {
    report(&input.noticed);
    for (key, why) in input.claims.refused() {
        console::warning(format!("HostedCluster/{key}: {why}"));
    }
    for malformed in &input.malformed {
        console::error(format!("failed to decode {}, which is ignored: {}", malformed.object, malformed.message));
    }
    for absent in &input.absent {
        if input.vanished.contains(absent) {
            console::warning(format!(
                "{} is no longer served by the cluster; its last known mirrors stay in use",
                absent.0
            ));
        } else {
            console::warning(format!("{} is not served by the cluster", absent.0));
        }
    }
}

/// Reports problems of one hosted cluster's plan.
pub fn report_plan(plan: &ClusterPlan) {
    if let Some(value) = &plan.unknown_setting {
        console::warning(unknown_setting(&plan.key, value));
    }
    for trouble in &plan.problems {
        console::error(format!("HostedCluster/{}: {} ({})", plan.key, trouble.message, trouble.reason.as_str()));
    }
    let namespace = plan.key.control_plane_namespace();
    for target in &plan.plan.targets {
        if let Some(change) = target.plan.as_ref().filter(|change| !change.message.is_empty()) {
            console::warning(format!("Deployment {namespace}/{}: {}", target.name(), change.message));
        }
    }
}

/// Reports sources that the gate for proofs holds, each with the reason.
pub fn report_held(key: &ClusterKey, what: &str, held: &HeldSources) {
    for source in &held.sources {
        let cause = held.cause.as_ref().filter(|_| source.why.is_none());
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        console::warning(format!("HostedCluster/{key}: {what}: {source}{cause}"));
    }
}

/// The message for an invalid value of `management-mirrors`.
pub fn unknown_setting(key: &ClusterKey, value: &str) -> String {
    let annotation = annotations::MANAGEMENT_MIRRORS;
    format!(
        "HostedCluster/{key}: annotation {annotation} has the invalid value {value:?}, which is treated as Use; set it to Use or Ignore"
    )
}

/// Objects with an invalid value of `node-delivery`, and these values.
pub fn unknown_deliveries(cluster: &HostedCluster, pools: &[&NodePool]) -> Vec<(String, String)> {
    let of_pool =
        |pool: &&NodePool| Some((format!("NodePool/{}", ClusterKey::of(*pool)), Delivery::requested(*pool).1?));
    let of_cluster =
        Delivery::requested(cluster).1.map(|value| (format!("HostedCluster/{}", ClusterKey::of(cluster)), value));
    of_cluster.into_iter().chain(pools.iter().filter_map(of_pool)).collect()
}

/// Reports invalid values of `node-delivery`.
pub fn report_deliveries(cluster: &HostedCluster, pools: &[&NodePool]) {
    for (object, value) in unknown_deliveries(cluster, pools) {
        console::warning(format!("{object}: {}", invalid_delivery(&value)));
    }
}
