//! Summarizes the status of all nodes of a guest cluster. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::node_mirror_status::{ObservedSet, Shadowed};
use hypermirror_api::report::{FindingReport, NodeReport, NodesReport};
use hypermirror_api::{NodeReason, Reason, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use serde::Deserialize;

use super::error::words;
use super::few::Few;
use crate::hosted::condition_state::ConditionState;

/// Nodes, entries and files that a report names. Its size is limited, and the first ones show what is wrong.
const NAMED: usize = 20;
/// Nodes for which the message is kept: those that are named, and the first of each reason.
const EXPLAINED: usize = 64;
/// Maximum length of a node's name.
const MAX_NAME_BYTES: usize = 253;

/// A NodeMirrorSet in the guest cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestSet {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The nodes that it selects. `None` selects all.
    pub selector: Option<LabelSelector>,
}

/// The relevant fields of a `NodeMirrorStatus`, with limited sizes, because the holder of an agent's token can write more.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// The metadata.
    pub metadata: AgentStatusMeta,
    /// `None` until the agent has written the status.
    pub status: Option<AgentReport>,
}

/// The metadata of a status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AgentStatusMeta {
    /// The node's name.
    pub name: String,
}

/// The relevant fields of `NodeMirrorStatusStatus`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentReport {
    /// `Applied` and `Reloaded`.
    pub conditions: Few<AgentCondition, 8>,
    /// The objects from which the file was generated.
    pub observed_sets: Few<ObservedSet, 1024>,
    /// Whether the container runtime has yet to load the file.
    pub pending_reload: bool,
    /// The number of ignored entries.
    pub rejected_count: i64,
    /// The ignored entries.
    pub rejected: Few<FindingReport, 50>,
    /// Sources that another file overrides.
    pub shadowed: Few<Shadowed, 50>,
}

/// One condition of an agent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AgentCondition {
    /// `Applied` or `Reloaded`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A reason from a closed set.
    pub reason: String,
    /// Human-readable details.
    pub message: String,
}

/// The state of all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// For the report.
    pub report: NodesReport,
    /// For the condition `NodesUpToDate`.
    pub verdict: ConditionState,
    /// The nodes without a status.
    pub silent: BTreeSet<Box<str>>,
    /// The number of nodes that have a status and have not applied their sets.
    pub unconfirmed: usize,
    /// The first of these nodes.
    pub unconfirmed_names: Vec<String>,
}

impl Summary {
    /// Whether all nodes have applied their mirrors.
    pub fn is_complete(&self) -> bool {
        self.report.applied == self.report.total
    }
}

/// The state of a node.
#[derive(Debug)]
enum Standing {
    /// There is no status. The indexes are those of the sets that select the node.
    Silent(Box<[usize]>),
    Behind(Reason, String),
    Confirmed,
}

/// Counts nodes and then their statuses. Each object is dropped after it is counted, so that memory stays small.
#[derive(Debug)]
pub struct Tally<'s> {
    sets: &'s [GuestSet],
    /// `None` selects all nodes, an invalid selector none, as in the agent.
    selectors: Vec<Option<Result<Selector, ()>>>,
    nodes: BTreeMap<Box<str>, Standing>,
    explained: usize,
    rejected_count: i64,
    rejected: BTreeSet<[String; 4]>,
    shadowed: BTreeSet<String>,
}

impl<'s> Tally<'s> {
    /// Starts with no nodes.
    pub fn new(sets: &'s [GuestSet]) -> Self {
        let selector = |set: &GuestSet| set.selector.clone().map(|selector| Selector::try_from(selector).map_err(drop));
        Self {
            sets,
            selectors: sets.iter().map(selector).collect(),
            nodes: BTreeMap::new(),
            explained: 0,
            rejected_count: 0,
            rejected: BTreeSet::new(),
            shadowed: BTreeSet::new(),
        }
    }

    /// Counts a node that can run an agent.
    pub fn node(&mut self, name: &str, labels: &BTreeMap<String, String>) {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return; // no API server accepts such a name
        }
        let chooses = |selector: &Option<Result<Selector, ()>>| match selector {
            None => true,
            Some(selector) => selector.as_ref().is_ok_and(|selector| selector.matches(labels)),
        };
        let wanted = self.selectors.iter().enumerate().filter(|(_, selector)| chooses(selector));
        let wanted = wanted.map(|(place, _)| place).collect();
        self.nodes.insert(name.into(), Standing::Silent(wanted));
    }

    /// Counts a status. The status of a node that does not exist is ignored.
    pub fn status(&mut self, status: &AgentStatus) {
        let Some(report) = &status.status else { return };
        let Some(standing) = self.nodes.get_mut(status.metadata.name.as_str()) else { return };
        let Standing::Silent(wanted) = standing else { return };
        let wanted: Vec<&GuestSet> = wanted.iter().filter_map(|place| self.sets.get(*place)).collect();
        *standing = match trouble(&wanted, report) {
            None => Standing::Confirmed,
            Some((reason, message)) => {
                self.explained += 1;
                let is_kept = self.explained <= EXPLAINED;
                Standing::Behind(reason, if is_kept { message } else { "see its NodeMirrorStatus".to_owned() })
            }
        };
        self.rejected_count = self.rejected_count.saturating_add(report.rejected_count.max(0));
        for finding in report.rejected.iter() {
            let of_it = [&finding.severity, &finding.reason, &finding.origin, &finding.message];
            keep_first(&mut self.rejected, of_it.map(|text| words(text)));
        }
        for shadowed in report.shadowed.iter() {
            keep_first(&mut self.shadowed, words(&format!("{} by {}", shadowed.source, shadowed.by)));
        }
    }

    /// The summary.
    pub fn finish(self) -> Summary {
        let total = self.nodes.len();
        let (mut behind, mut silent, mut unconfirmed_names) = (Behind::default(), BTreeSet::new(), Vec::new());
        for (name, standing) in self.nodes {
            let (reason, message) = match standing {
                Standing::Confirmed => continue,
                Standing::Silent(_) => {
                    (Reason::AgentsMissing, "no agent has reported a status for this node".to_owned())
                }
                Standing::Behind(reason, message) => {
                    if unconfirmed_names.len() < NAMED {
                        unconfirmed_names.push(name.to_string());
                    }
                    (reason, message)
                }
            };
            behind.add(NodeReport { name: name.to_string(), reason: reason.as_str().to_owned(), message }, reason);
            if reason == Reason::AgentsMissing {
                silent.insert(name);
            }
        }
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let applied = total - behind.count;
        let unconfirmed = behind.count - silent.len();
        let verdict = behind.verdict(total);
        let report = NodesReport {
            summary: format!("{applied}/{total}"),
            total: count(total),
            applied: count(applied),
            behind: behind.named,
            rejected_count: self.rejected_count,
            rejected: self.rejected.into_iter().map(finding).collect(),
            shadowed: self.shadowed.into_iter().collect(),
        };
        Summary { report, verdict, silent, unconfirmed, unconfirmed_names }
    }
}

/// Keeps the first [`NAMED`] elements in order.
fn keep_first<T: Ord>(kept: &mut BTreeSet<T>, value: T) {
    kept.insert(value);
    if kept.len() > NAMED {
        kept.pop_last();
    }
}

/// The nodes that are not up to date.
#[derive(Default)]
struct Behind {
    count: usize,
    named: Vec<NodeReport>,
    by_reason: BTreeMap<Reason, (NodeReport, usize)>,
}

impl Behind {
    fn add(&mut self, report: NodeReport, reason: Reason) {
        self.count += 1;
        match self.by_reason.get_mut(&reason) {
            Some((_, count)) => *count += 1,
            None => drop(self.by_reason.insert(reason, (report.clone(), 1))),
        }
        if self.named.len() < NAMED {
            self.named.push(report);
        }
    }

    fn verdict(&self, total: usize) -> ConditionState {
        // Problems that need action come before states that resolve by themselves.
        for reason in [Reason::NodesFailing, Reason::AgentsMissing, Reason::NodesUpdating] {
            let Some((first, count)) = self.by_reason.get(&reason) else { continue };
            let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let message = format!("{} of {total} nodes: {}{more}: {}", self.count, first.name, first.message);
            return ConditionState::new("False", reason, message);
        }
        let message = match total {
            0 => "the guest cluster has no nodes".to_owned(),
            1 => "the node has applied its mirrors".to_owned(),
            _ => format!("all {total} nodes have applied their mirrors"),
        };
        ConditionState::new("True", Reason::AsExpected, message)
    }
}

fn finding([severity, reason, origin, message]: [String; 4]) -> FindingReport {
    FindingReport { severity, reason, origin, message }
}

/// Why a node with a status is not up to date.
fn trouble(wanted: &[&GuestSet], status: &AgentReport) -> Option<(Reason, String)> {
    for kind in ["Applied", "Reloaded"] {
        let condition = status.conditions.iter().find(|condition| condition.r#type == kind);
        if let Some(condition) = condition.filter(|condition| condition.status == "False") {
            // A pending reload is not a failure, because every edit causes one.
            let is_on_its_way = condition.reason == NodeReason::Reloading.as_str();
            let reason = if is_on_its_way { Reason::NodesUpdating } else { Reason::NodesFailing };
            return Some((reason, words(&format!("{}: {}", condition.reason, condition.message))));
        }
    }
    let wanted: BTreeSet<ObservedSet> = wanted.iter().map(|set| observed(set)).collect();
    // Ignore sets that users created, because the desired state of these is not known here.
    let is_asked_for =
        |set: &&ObservedSet| names::is_pushed_set(&set.name) || wanted.iter().any(|wanted| wanted.name == set.name);
    let observed: BTreeSet<ObservedSet> = status.observed_sets.iter().filter(is_asked_for).cloned().collect();
    if wanted != observed {
        let newer = wanted.difference(&observed).next();
        let what = newer.map_or_else(
            || "the removal of a set that no longer selects this node".to_owned(),
            |set| format!("{} of generation {}", set.name, set.generation),
        );
        return Some((Reason::NodesUpdating, format!("waiting for the node to confirm {what}")));
    }
    let is_true =
        |kind: &str| status.conditions.iter().any(|condition| condition.r#type == kind && condition.status == "True");
    if status.pending_reload || !is_true("Applied") || !is_true("Reloaded") {
        return Some((Reason::NodesUpdating, "waiting for the container runtime to load the file".to_owned()));
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

#[cfg(test)]
mod tests;
