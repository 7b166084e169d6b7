//! The report of one hosted cluster, and the events for changed conditions.

mod lists;
mod size;

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::report::BootReport;
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::boot::config_map_name;
use super::condition_state::{ConditionState, SourceTrouble};
use super::conditions::{catalogs_condition, control_plane_condition, merge, ready_condition, sources_condition};
use super::facts::{ClusterFacts, Moment};
use super::gates::GateName;
use super::guest::GuestOutcome;
use super::memory::{Boot, Boots};
use super::pool_config::{self, PoolSources};
use super::proof::requirement::RequireProof;
use super::turn::Turn;
use crate::fleet::claims::Refusal;
use crate::mirrors::finding::Finding;
use crate::printable;

pub use size::{REPORT_BYTES, fitted};

/// The result of the writes of a turn.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The error of a write.
    pub failure: Option<String>,
    /// The condition about OLM catalogs, if they are configured.
    pub catalogs: Option<ConditionState>,
    /// The stock images of OLM catalogs to look for at mirrors, if the catalogs were read.
    pub catalog_images: Option<Vec<String>>,
    /// Errors of writes of boot ConfigMaps, by NodePool.
    pub boot_troubles: BTreeMap<String, Vec<SourceTrouble>>,
    /// The boot ConfigMaps.
    pub boots: Boots,
}

/// The report, truncated to the limit of the API server. `None` after hypermirror was removed from the hosted cluster.
pub fn status(facts: &ClusterFacts, turn: &Turn, outcome: &Outcome, now: Moment) -> Option<HostedClusterMirrorsStatus> {
    // If the owner of the namespace is unknown, entries may remain in it.
    let is_disputed = matches!(facts.refusal, Some(Refusal::Shared));
    let is_done = facts.leaves() && !is_disputed && turn.plan.is_up_to_date();
    // Objects may remain in a guest cluster until the removal is complete.
    let is_left_behind = |guest: &GuestOutcome| guest.synced.reason == Reason::LeftBehind;
    let keeps_record = facts.uninstalls() && facts.guest.as_deref().is_some_and(is_left_behind);
    if is_done && !keeps_record {
        return None;
    }
    let control_plane = control_plane(turn, outcome);
    let conditions = conditions(facts, outcome, &control_plane, now);
    let generation = facts.object.metadata.generation.unwrap_or_default();
    let (guest, nodes) = match facts.guest.as_deref() {
        Some(guest) => (guest.guest.clone(), guest.nodes_report.clone()),
        None => (None, None),
    };
    let keeps_map = control_plane.reason == Reason::RemovalHeld || is_disputed;
    let old = facts.report.as_deref();
    let status = match old.filter(|_| keeps_map) {
        // Report the map that is in use.
        Some(old) => {
            let mut control_plane = old.control_plane.clone();
            control_plane.rollout.clone_from(&turn.rollout.report);
            control_plane.admission = facts.fleet.admission;
            HostedClusterMirrorsStatus {
                conditions,
                hosted_cluster_generation: generation,
                guest,
                nodes,
                control_plane,
                ..old.clone()
            }
        }
        None => HostedClusterMirrorsStatus { guest, nodes, ..resolved(facts, turn, outcome, conditions, generation) },
    };
    Some(fitted(printable::value(status)))
}

/// The conditions about mirrors, including those of the guest.
fn resolved(
    facts: &ClusterFacts,
    turn: &Turn,
    outcome: &Outcome,
    conditions: Vec<Condition>,
    generation: i64,
) -> HostedClusterMirrorsStatus {
    let (sources, cut) = lists::source_reports(&turn.map.resolved);
    let of_pools: Vec<Finding> = facts.pool_sources.values().flat_map(pool_config::findings).collect();
    let findings: Vec<&Finding> = facts.findings().chain(&of_pools).collect();
    let before = facts.report.as_ref().map(|old| old.boot.as_slice()).unwrap_or_default();
    HostedClusterMirrorsStatus {
        hosted_cluster_generation: generation,
        conditions,
        source_count: count(turn.map.resolved.sources.len()),
        sources,
        sources_cut: count(cut),
        findings: lists::finding_reports(&findings),
        mirror_config: facts.own.reference.clone(),
        node_pools: pool_config::reports(&pools(facts, outcome)),
        boot: boot_reports(&outcome.boots, before),
        catalog_images: outcome
            .catalog_images
            .clone()
            .unwrap_or_else(|| facts.report.as_ref().map(|old| old.catalog_images.clone()).unwrap_or_default()),
        control_plane: lists::control_plane_report(
            &turn.plan.targets,
            turn.rollout.report.clone(),
            facts.fleet.admission,
        ),
        ..HostedClusterMirrorsStatus::default()
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A failed rollout has priority over a failed write, and that over a gate that holds the next write.
fn control_plane(turn: &Turn, outcome: &Outcome) -> ConditionState {
    let failure =
        outcome.failure.as_ref().map(|error| ConditionState::new("False", Reason::WriteFailed, error.clone()));
    // A contested target has its own condition.
    let held = turn.gate.condition().filter(|_| turn.gate.holding() != Some(GateName::Contested));
    // All targets are up to date with what may be live.
    let unproven = held.filter(|_| turn.gate.holding() == Some(GateName::ProofMissing) && failure.is_none());
    let condition = match unproven {
        Some(unproven) => unproven.clone(),
        None => control_plane_condition(&turn.plan.targets, failure.as_ref().or(held)),
    };
    let failed = turn.rollout.failed.clone().filter(|_| condition.reason != Reason::RemovalHeld);
    failed.unwrap_or(condition)
}

fn pools(facts: &ClusterFacts, outcome: &Outcome) -> BTreeMap<String, PoolSources> {
    let mut pools = facts.pool_sources.clone();
    for (pool, problems) in &outcome.boot_troubles {
        pools.entry(pool.clone()).or_default().problems.extend(problems.iter().cloned());
    }
    pools
}

/// All conditions: those that `Ready` aggregates, the others, and `Ready`.
fn conditions(facts: &ClusterFacts, outcome: &Outcome, control_plane: &ConditionState, now: Moment) -> Vec<Condition> {
    let old = facts.report.as_ref().map(|old| old.conditions.as_slice()).unwrap_or_default();
    let replaces_nodes = !facts.object.spec.image_content_sources.is_empty();
    let findings: Vec<&Finding> = facts.findings().collect();
    let sources = sources_condition(&findings, &facts.problems(), replaces_nodes);
    let pools = pool_config::condition(&pools(facts, outcome));
    let catalogs = catalogs_condition(outcome.catalogs.clone(), old);
    let guest = facts.guest.as_deref();
    let mut conditions =
        vec![(ConditionType::SourcesResolved, &sources), (ConditionType::ControlPlaneUpToDate, control_plane)];
    conditions.extend(pools.iter().map(|condition| (ConditionType::NodePoolConfigValid, condition)));
    conditions.extend(guest.map(GuestOutcome::conditions).unwrap_or_default());
    conditions.extend(catalogs.iter().map(|condition| (ConditionType::CatalogsValid, condition)));
    let counts =
        |kind: ConditionType| !super::guest::CONDITIONS.contains(&kind) || guest.is_some_and(GuestOutcome::counts);
    let counting: Vec<_> = conditions.iter().copied().filter(|(kind, _)| counts(*kind)).collect();
    let ready = ready_condition(&counting);
    // Mirrors that are live stay live whether they are proven or not, so Ready does not depend on it.
    let proven = proven(facts, now);
    conditions.extend(proven.iter().map(|condition| (ConditionType::MirrorsProven, condition)));
    conditions.push((ConditionType::Ready, &ready));
    merge(old, &conditions, facts.object.metadata.generation.unwrap_or_default(), now.time)
}

/// The condition `MirrorsProven`. Without a MirrorCoverage there is none, unless a proof is needed.
fn proven(facts: &ClusterFacts, now: Moment) -> Option<ConditionState> {
    let require = RequireProof::of(&*facts.object, facts.flags.require_proof);
    match &facts.coverage {
        _ if require == RequireProof::Off => None,
        Some(coverage) => Some(coverage.condition(now.time)),
        None => facts.enforcement.as_ref().map(|_| {
            let message = "the hosted cluster has no MirrorCoverage: is the registry-manager running?";
            ConditionState::new("Unknown", Reason::CoverageUnknown, message)
        }),
    }
}

/// The existing boot ConfigMaps, by NodePool. For those not read yet, the entries of the last report.
fn boot_reports(boots: &Boots, before: &[BootReport]) -> Vec<BootReport> {
    let is_known = |pool: &str| boots.get(pool).is_some_and(|boot| boot.current.is_some());
    let report = |(pool, boot): (&String, &Boot)| {
        let digest = boot.current.clone()??;
        Some(BootReport { node_pool: pool.clone(), config_map: config_map_name(pool), digest })
    };
    let unknown = before.iter().filter(|before| !is_known(&before.node_pool)).cloned();
    let mut reports: Vec<BootReport> = boots.iter().filter_map(report).chain(unknown).collect();
    reports.sort_by(|a, b| a.node_pool.cmp(&b.node_pool));
    reports
}

/// The object of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About<'a> {
    /// The HostedCluster.
    HostedCluster,
    /// One of its NodePools, by name.
    NodePool(&'a str),
}

/// The related object of an event: the one that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Related {
    /// A target Deployment, by name.
    Target(String),
    /// The ConfigMap that the HostedCluster references, by name.
    ConfigMap(String),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition<'a> {
    /// The object.
    pub about: About<'a>,
    /// Whether the type is `Normal`.
    pub is_good: bool,
    /// The condition's type if it is as expected, else its reason.
    pub reason: &'a str,
    /// The message.
    pub message: &'a str,
    /// The object that failed, if it is a different one.
    pub related: Option<Related>,
}

/// The events for changes between two reports. There are none for states without a failure, such as a new hosted cluster
/// without kubeconfig, or one that is queued.
pub fn transitions<'a>(
    old: Option<&HostedClusterMirrorsStatus>,
    new: &'a HostedClusterMirrorsStatus,
) -> Vec<Transition<'a>> {
    let quiet: BTreeSet<&str> = [Reason::KubeconfigMissing, Reason::RolloutWaiting].map(Reason::as_str).into();
    let of_cluster = new.conditions.iter().filter_map(|condition| {
        let before = old.iter().flat_map(|old| &old.conditions).find(|before| before.type_ == condition.type_);
        let is_good = condition.status == "True";
        let has_moved =
            before.map_or(!is_good, |before| before.status != condition.status || before.reason != condition.reason);
        let is_told =
            has_moved && !quiet.contains(&*condition.reason) && condition.type_ != ConditionType::Ready.as_str();
        is_told.then(|| Transition {
            about: About::HostedCluster,
            is_good,
            reason: if is_good { &condition.type_ } else { &condition.reason },
            message: &condition.message,
            related: if is_good { None } else { related(condition, new) },
        })
    });
    let of_pools = new.node_pools.iter().filter_map(|pool| {
        let before = old.iter().flat_map(|old| &old.node_pools).find(|before| before.name == pool.name);
        let has_moved = before.map_or(!pool.valid, |before| before.valid != pool.valid || before.reason != pool.reason);
        has_moved.then(|| Transition {
            about: About::NodePool(&pool.name),
            is_good: pool.valid,
            reason: if pool.valid { ConditionType::NodePoolConfigValid.as_str() } else { &pool.reason },
            message: &pool.message,
            related: None,
        })
    });
    of_cluster.chain(of_pools).collect()
}

/// The object that caused a condition which is not as expected.
fn related(condition: &Condition, status: &HostedClusterMirrorsStatus) -> Option<Related> {
    if condition.type_ == ConditionType::ControlPlaneUpToDate.as_str() {
        let bad = status.control_plane.targets.iter().find(|target| !target.up_to_date)?;
        return Some(Related::Target(bad.name.clone()));
    }
    let is_of_config = condition.type_ == ConditionType::SourcesResolved.as_str()
        && [Reason::ConfigMapMissing, Reason::SourceUnreadable, Reason::BudgetExceeded, Reason::MalformedObject]
            .iter()
            .any(|reason| reason.as_str() == condition.reason);
    let config = status.mirror_config.as_ref().filter(|_| is_of_config)?;
    Some(Related::ConfigMap(config.name.clone()))
}

#[cfg(test)]
mod tests;
