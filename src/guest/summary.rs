//! What the agents of a guest report, for its nodes as a whole. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::node_mirror_status::{NodeMirrorStatusStatus, ObservedSet};
use hypermirror_api::report::{FindingReport, NodeReport, NodesReport};
use hypermirror_api::{NodeMirrorStatus, NodeReason, Reason, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt as _};

use super::error::words;
use crate::fleet::report::Verdict;

/// How many nodes, entries and files are named.
const NAMED: usize = 20;

/// A node of the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestNode {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A set as it stands in the guest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestSet {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// The nodes that it is for; all if there is none.
    pub selector: Option<LabelSelector>,
}

impl GuestSet {
    fn is_for(&self, node: &GuestNode) -> bool {
        let Some(selector) = self.selector.clone() else { return true };
        // One that is none chooses nothing: so do the agents.
        Selector::try_from(selector).is_ok_and(|selector| selector.matches(&node.labels))
    }
}

/// Nodes, sets and statuses of one guest, read at about the same time.
#[derive(Clone, Debug, Default)]
pub struct ReadBack {
    /// The nodes that can have an agent.
    pub nodes: Vec<GuestNode>,
    /// The sets.
    pub sets: Vec<GuestSet>,
    /// The statuses.
    pub statuses: Vec<NodeMirrorStatus>,
}

/// What a guest's nodes come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// For the report.
    pub report: NodesReport,
    /// For the condition `NodesUpToDate`.
    pub verdict: Verdict,
    /// The nodes without a status.
    pub silent: Vec<String>,
}

impl Summary {
    /// Whether every node has its mirrors.
    pub fn is_complete(&self) -> bool {
        self.report.applied == self.report.total
    }
}

/// Sums a guest up.
pub fn summarize(read: &ReadBack) -> Summary {
    let statuses: BTreeMap<String, &NodeMirrorStatusStatus> =
        read.statuses.iter().filter_map(|status| Some((status.name_any(), status.status.as_ref()?))).collect();
    let mut behind: Vec<(NodeReport, Reason)> = Vec::new();
    let mut silent = Vec::new();
    for node in &read.nodes {
        let status = statuses.get(&node.name).copied();
        if status.is_none() {
            silent.push(node.name.clone());
        }
        let Some((reason, message)) = trouble(node, &read.sets, status) else { continue };
        let report = NodeReport { name: node.name.clone(), reason: reason.as_str().to_owned(), message };
        behind.push((report, reason));
    }
    let known = read.nodes.iter().filter_map(|node| Some((&node.name, *statuses.get(&node.name)?))).collect();
    let total = read.nodes.len();
    let applied = total - behind.len();
    let verdict = verdict(&behind, total);
    Summary { report: report(&known, behind, applied, total), verdict, silent }
}

fn report(
    statuses: &BTreeMap<&String, &NodeMirrorStatusStatus>,
    behind: Vec<(NodeReport, Reason)>,
    applied: usize,
    total: usize,
) -> NodesReport {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let rejected = statuses.values().flat_map(|status| &status.rejected);
    let rejected: BTreeSet<[&str; 4]> =
        rejected.map(|finding| [&*finding.severity, &*finding.reason, &*finding.origin, &*finding.message]).collect();
    let shadowed = statuses.values().flat_map(|status| &status.shadowed);
    let shadowed: BTreeSet<String> =
        shadowed.map(|shadowed| words(&format!("{} by {}", shadowed.source, shadowed.by))).collect();
    NodesReport {
        summary: format!("{applied}/{total}"),
        total: count(total),
        applied: count(applied),
        behind: behind.into_iter().map(|(report, _)| report).take(NAMED).collect(),
        rejected_count: statuses.values().map(|status| status.rejected_count.max(0)).fold(0, i64::saturating_add),
        rejected: rejected.into_iter().take(NAMED).map(finding).collect(),
        shadowed: shadowed.into_iter().take(NAMED).collect(),
    }
}

fn finding([severity, reason, origin, message]: [&str; 4]) -> FindingReport {
    FindingReport { severity: words(severity), reason: words(reason), origin: words(origin), message: words(message) }
}

/// Why a node does not count as up to date.
fn trouble(node: &GuestNode, sets: &[GuestSet], status: Option<&NodeMirrorStatusStatus>) -> Option<(Reason, String)> {
    let Some(status) = status else {
        return Some((Reason::AgentsMissing, "no agent has reported from this node".to_owned()));
    };
    for kind in ["Applied", "Reloaded"] {
        let condition = status.conditions.iter().find(|condition| condition.type_ == kind);
        if let Some(condition) = condition.filter(|condition| condition.status == "False") {
            // On its way is no failure: each edit passes there.
            let is_on_its_way = condition.reason == NodeReason::Reloading.as_str();
            let reason = if is_on_its_way { Reason::NodesUpdating } else { Reason::NodesFailing };
            return Some((reason, words(&format!("{}: {}", condition.reason, condition.message))));
        }
    }
    let wanted: BTreeSet<ObservedSet> = sets.iter().filter(|set| set.is_for(node)).map(observed).collect();
    // A person's own sets are in the node's file, too; nobody here knows what they should be.
    let is_asked_for =
        |set: &&ObservedSet| names::is_pushed_set(&set.name) || wanted.iter().any(|wanted| wanted.name == set.name);
    let observed: BTreeSet<ObservedSet> = status.observed_sets.iter().filter(is_asked_for).cloned().collect();
    if wanted != observed {
        let newer = wanted.difference(&observed).next();
        let what = newer.map_or_else(
            || "a set that is not for this node any more".to_owned(),
            |set| format!("{} of generation {}", set.name, set.generation),
        );
        return Some((Reason::NodesUpdating, format!("has not confirmed {what} yet")));
    }
    let is_true =
        |kind: &str| status.conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    if status.pending_reload || !is_true("Applied") || !is_true("Reloaded") {
        return Some((Reason::NodesUpdating, "the container runtime has not read the file yet".to_owned()));
    }
    None
}

fn observed(set: &GuestSet) -> ObservedSet {
    ObservedSet {
        kind: "NodeMirrorSet".to_owned(),
        name: set.name.clone(),
        uid: set.uid.clone(),
        generation: set.generation,
    }
}

fn verdict(behind: &[(NodeReport, Reason)], total: usize) -> Verdict {
    if behind.is_empty() {
        return Verdict::new("True", Reason::AsExpected, format!("all {total} nodes have their mirrors"));
    }
    // What a person has to look at comes before what goes by itself.
    for reason in [Reason::NodesFailing, Reason::AgentsMissing, Reason::NodesUpdating] {
        let of_it: Vec<&NodeReport> =
            behind.iter().filter(|(_, found)| *found == reason).map(|(report, _)| report).collect();
        let Some(first) = of_it.first() else { continue };
        let more = if of_it.len() > 1 { format!(" and {} more", of_it.len() - 1) } else { String::new() };
        let message = format!("{} of {total} nodes: {}{more}: {}", behind.len(), first.name, first.message);
        return Verdict::new("False", reason, message);
    }
    Verdict::new("False", Reason::NodesUpdating, format!("{} of {total} nodes", behind.len()))
}

#[cfg(test)]
mod tests;
