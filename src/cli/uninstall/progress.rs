//! The progress of a removal, derived from the reports.

use std::collections::BTreeMap;

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};

use super::super::console;
use super::Reports;
use hypermirror_api::ClusterKey;

/// Up to this number, each hosted cluster gets its own lines. Above it, only counts are printed.
const ONE_BY_ONE: usize = 20;

/// The state of one hosted cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The removal is in progress.
    Waiting(String),
    /// The manager is done, but could not reach the guest cluster or some of its nodes.
    Kept(String),
}

/// The progress that was printed.
pub struct Progress {
    total: usize,
    /// Hosted clusters whose reports exist. `None` before the first update.
    states: BTreeMap<ClusterKey, Option<State>>,
}

impl Progress {
    /// Starts with the reports before the request.
    pub fn new(reports: Reports) -> Self {
        let states: BTreeMap<_, _> = reports.into_keys().map(|key| (key, None)).collect();
        Self { total: states.len(), states }
    }

    /// Prints what has changed.
    pub fn update(&mut self, reports: Reports) {
        for line in self.changes(reports) {
            console::note(line);
        }
    }

    /// Whether the manager is done with all hosted clusters.
    pub fn is_done(&self) -> bool {
        self.states.values().all(|state| matches!(state, Some(State::Kept(_))))
    }

    /// A line for each hosted cluster whose guest cluster or nodes keep their mirrors.
    pub fn kept(&self) -> Vec<String> {
        let kept = self.states.iter().filter_map(|(key, state)| match state {
            Some(State::Kept(what)) => Some(format!("  {key}: {what}")),
            _ => None,
        });
        kept.collect()
    }

    /// The number of hosted clusters that are done.
    pub fn removed(&self) -> String {
        let s = if self.total == 1 { "" } else { "s" };
        format!("removed from {} of {} hosted cluster{s}", self.total - self.states.len(), self.total)
    }

    /// Replaces the reports and returns a line for each change.
    fn changes(&mut self, reports: Reports) -> Vec<String> {
        let states: BTreeMap<ClusterKey, Option<State>> =
            reports.into_iter().map(|(key, status)| (key, Some(state(&status)))).collect();
        let before = std::mem::replace(&mut self.states, states);
        self.total = self.total.max(self.states.len());
        if self.total > ONE_BY_ONE {
            let moved = before.len() != self.states.len();
            return moved.then(|| self.removed()).into_iter().collect();
        }
        let gone = before.keys().filter(|key| !self.states.contains_key(*key)).map(|key| format!("{key}: removed"));
        let changed = self.states.iter().filter(|(key, state)| before.get(*key) != Some(*state));
        gone.chain(changed.map(|(key, state)| format!("{key}: {}", text_of(state.as_ref())))).collect()
    }

    /// The hosted clusters that are not done, with their states.
    pub fn remaining(&self) -> String {
        let mut lines: Vec<String> = self
            .states
            .iter()
            .take(ONE_BY_ONE)
            .map(|(key, state)| format!("  {key}: {}", text_of(state.as_ref())))
            .collect();
        if let Some(more) = self.states.len().checked_sub(ONE_BY_ONE).filter(|more| *more > 0) {
            lines.push(format!("  and {more} more"));
        }
        lines.join("\n")
    }
}

fn text_of(state: Option<&State>) -> &str {
    match state {
        Some(State::Waiting(what) | State::Kept(what)) => what,
        None => "",
    }
}

/// The state of a hosted cluster from its report.
fn state(status: &HostedClusterMirrorsStatus) -> State {
    let find = |kind: ConditionType| status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    let left_behind = find(ConditionType::GuestSynced).filter(|found| found.reason == Reason::LeftBehind.as_str());
    if let Some(left_behind) = left_behind
        && status.control_plane.targets.iter().all(|target| target.up_to_date)
    {
        return State::Kept(left_behind.message.clone());
    }
    let order = [ConditionType::GuestSynced, ConditionType::NodesUpToDate, ConditionType::ControlPlaneUpToDate];
    let waiting = order.into_iter().filter_map(|kind| {
        let condition = find(kind).filter(|condition| condition.status != "True")?;
        Some(format!("{} ({}): {}", kind.as_str(), condition.reason, condition.message))
    });
    let waiting: Vec<String> = waiting.collect();
    State::Waiting(if waiting.is_empty() { "waiting for the manager".to_owned() } else { waiting.join("; ") })
}

#[cfg(test)]
mod tests {
    use hypermirror_api::report::TargetReport;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: name.into() }
    }

    fn status(kind: ConditionType, value: &str, message: &str) -> HostedClusterMirrorsStatus {
        let condition = Condition {
            type_: kind.as_str().into(),
            status: value.into(),
            reason: "Leaving".into(),
            message: message.into(),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        HostedClusterMirrorsStatus { conditions: vec![condition], ..HostedClusterMirrorsStatus::default() }
    }

    #[test]
    fn each_step_is_printed_once() {
        let steady = || Reports::from([(key("a"), status(ConditionType::GuestSynced, "True", "there"))]);
        let leaving = || Reports::from([(key("a"), status(ConditionType::GuestSynced, "False", "1/3 nodes"))]);
        let mut progress = Progress::new(steady());
        assert_eq!(progress.changes(steady()), ["clusters/a: waiting for the manager"]);
        assert_eq!(progress.changes(leaving()), ["clusters/a: GuestSynced (Leaving): 1/3 nodes"]);
        assert!(progress.changes(leaving()).is_empty());
        assert_eq!(progress.remaining(), "  clusters/a: GuestSynced (Leaving): 1/3 nodes");
        assert_eq!(progress.changes(Reports::new()), ["clusters/a: removed"]);
    }

    #[test]
    fn for_many_clusters_only_counts_are_printed() {
        let many = |count: usize| -> Reports {
            (0..count).map(|n| (key(&format!("c{n}")), HostedClusterMirrorsStatus::default())).collect()
        };
        let mut progress = Progress::new(many(30));
        assert!(progress.changes(many(30)).is_empty());
        assert_eq!(progress.changes(many(25)), ["removed from 5 of 30 hosted clusters"]);
        assert_eq!(progress.remaining().lines().count(), 21);
    }
    #[test]
    fn a_guest_that_keeps_something_is_not_waited_for_and_named_at_the_end() {
        let kept = |up_to_date: bool| {
            let mut kept = status(ConditionType::GuestSynced, "False", "its nodes keep their mirrors");
            Reason::LeftBehind.as_str().clone_into(&mut kept.conditions[0].reason);
            kept.control_plane.targets = vec![TargetReport { up_to_date, ..TargetReport::default() }];
            kept
        };
        let mut progress = Progress::new(Reports::from([(key("a"), kept(false)), (key("b"), kept(false))]));
        assert!(!progress.is_done(), "no report was read yet");
        progress.changes(Reports::from([(key("a"), kept(true)), (key("b"), kept(false))]));
        assert!(!progress.is_done(), "the control plane of b comes after its guest");
        progress.changes(Reports::from([(key("a"), kept(true))]));
        assert!(progress.is_done());
        assert_eq!(progress.kept(), ["  clusters/a: its nodes keep their mirrors"]);
        assert_eq!(progress.removed(), "removed from 1 of 2 hosted clusters");
    }
}
