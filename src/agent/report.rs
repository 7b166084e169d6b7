//! Creates the status of a NodeMirrorStatus. Pure.

use hypermirror_api::node_mirror_status::{NodeMirrorStatusStatus, ObservedSet, Shadowed};
use hypermirror_api::report::FindingReport;
use hypermirror_api::{NodeConditionType, NodeReason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::desired::Decision;
use crate::printable;

/// Maximum length of lists. Users declare the entries, so the lists would otherwise grow without limit.
const LONGEST_LIST: usize = 50;
/// Maximum length of lists of small items.
const LONGEST_OBSERVED: usize = 1_000;

/// The reason and message of a condition, whose status follows from the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConditionState {
    /// The reason. [`NodeReason::AsExpected`] and [`NodeReason::NotAsked`] mean success.
    pub reason: NodeReason,
    /// Human-readable details.
    pub message: String,
}

impl NodeConditionState {
    /// Creates the state.
    pub fn new(reason: NodeReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Whether it means success.
    pub const fn is_good(&self) -> bool {
        matches!(self.reason, NodeReason::AsExpected | NodeReason::NotAsked)
    }
}

/// The state of the node at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether the file is up to date.
    pub applied: NodeConditionState,
    /// Whether CRI-O has loaded it.
    pub reloaded: NodeConditionState,
    /// The objects from which the file was generated.
    pub observed_sets: Vec<ObservedSet>,
    /// Number of sources with mirrors.
    pub sources: usize,
    /// The digest of the file. Empty if it does not exist.
    pub content_hash: String,
    /// Entries that are ignored.
    pub rejected: Vec<FindingReport>,
    /// Warnings.
    pub warnings: Vec<FindingReport>,
    /// Sources that another file overrides.
    pub shadowed: Vec<Shadowed>,
}

impl Snapshot {
    /// The state after a decision. The caller sets the state of the reload.
    pub fn new<F>(
        applied: NodeConditionState,
        decision: Decision<F>,
        observed_sets: Vec<ObservedSet>,
        content_hash: String,
    ) -> Self {
        Self {
            applied,
            reloaded: NodeConditionState::new(NodeReason::AsExpected, ""),
            observed_sets,
            sources: decision.sources,
            content_hash,
            rejected: decision.rejected,
            warnings: decision.warnings,
            shadowed: decision.shadowed,
        }
    }
}

/// The status for a snapshot. Transition times are copied from the current status, `before`.
pub fn status(snapshot: &Snapshot, before: Option<&NodeMirrorStatusStatus>, now: &Time) -> NodeMirrorStatusStatus {
    let conditions =
        [(NodeConditionType::Applied, &snapshot.applied), (NodeConditionType::Reloaded, &snapshot.reloaded)];
    let conditions = conditions.map(|(kind, state)| condition(kind, state, before, now)).to_vec();
    printable::value(NodeMirrorStatusStatus {
        conditions,
        observed_sets: snapshot.observed_sets.iter().take(LONGEST_OBSERVED).cloned().collect(),
        source_count: count(snapshot.sources),
        content_hash: snapshot.content_hash.clone(),
        pending_reload: !snapshot.reloaded.is_good(),
        rejected_count: count(snapshot.rejected.len()),
        rejected: cut(&snapshot.rejected),
        warnings: cut(&snapshot.warnings),
        shadowed: cut(&snapshot.shadowed),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

fn condition(
    kind: NodeConditionType,
    state: &NodeConditionState,
    before: Option<&NodeMirrorStatusStatus>,
    now: &Time,
) -> Condition {
    let status = if state.is_good() { "True" } else { "False" };
    let known = before.and_then(|before| before.conditions.iter().find(|known| known.type_ == kind.as_str()));
    let since = known.filter(|known| known.status == status).map(|known| known.last_transition_time.clone());
    Condition {
        last_transition_time: since.unwrap_or_else(|| now.clone()),
        message: state.message.clone(),
        observed_generation: Some(0),
        reason: state.reason.as_str().to_owned(),
        status: status.to_owned(),
        type_: kind.as_str().to_owned(),
    }
}

fn cut<T: Clone>(list: &[T]) -> Vec<T> {
    list.iter().take(LONGEST_LIST).cloned().collect()
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
