//! How far the manager is, from the reports: told when it changes.

use std::collections::BTreeMap;

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};

use super::super::console;
use super::Reports;
use hypermirror_api::ClusterKey;

/// So many hosted clusters are told one by one; of more, only how many are left.
const ONE_BY_ONE: usize = 20;

/// How a hosted cluster stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There is something to do yet, or to wait for.
    Waiting(String),
    /// The manager is done and could not reach all of the guest: what stays there.
    Kept(String),
}

/// What was told.
pub struct Progress {
    total: usize,
    /// Those whose reports are there; none before the first look.
    states: BTreeMap<ClusterKey, Option<State>>,
}

impl Progress {
    /// Begins with these.
    pub fn new(reports: Reports) -> Self {
        let states: BTreeMap<_, _> = reports.into_keys().map(|key| (key, None)).collect();
        Self { total: states.len(), states }
    }

    /// Tells what is new.
    pub fn tell(&mut self, reports: Reports) {
        for line in self.news(reports) {
            console::note(line);
        }
    }

    /// Whether the manager has done for each hosted cluster what it can.
    pub fn is_done(&self) -> bool {
        self.states.values().all(|state| matches!(state, Some(State::Kept(_))))
    }

    /// A line for each hosted cluster whose guest keeps something.
    pub fn kept(&self) -> Vec<String> {
        let kept = self.states.iter().filter_map(|(key, state)| match state {
            Some(State::Kept(what)) => Some(format!("  {key}: {what}")),
            _ => None,
        });
        kept.collect()
    }

    /// How far it is, in numbers.
    pub fn removed(&self) -> String {
        let s = if self.total == 1 { "" } else { "s" };
        format!("removed from {} of {} hosted cluster{s}", self.total - self.states.len(), self.total)
    }

    /// Takes the reports that are there now; answers what is worth a line.
    fn news(&mut self, reports: Reports) -> Vec<String> {
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
        gone.chain(changed.map(|(key, state)| format!("{key}: {}", told(state.as_ref())))).collect()
    }

    /// The hosted clusters whose reports are still there, with what they say.
    pub fn remaining(&self) -> String {
        let mut lines: Vec<String> = self
            .states
            .iter()
            .take(ONE_BY_ONE)
            .map(|(key, state)| format!("  {key}: {}", told(state.as_ref())))
            .collect();
        if let Some(more) = self.states.len().checked_sub(ONE_BY_ONE).filter(|more| *more > 0) {
            lines.push(format!("  and {more} more"));
        }
        lines.join("\n")
    }
}

fn told(state: Option<&State>) -> &str {
    match state {
        Some(State::Waiting(what) | State::Kept(what)) => what,
        None => "",
    }
}

/// What is still to do for a hosted cluster.
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
    fn each_step_is_told_once() {
        let steady = || Reports::from([(key("a"), status(ConditionType::GuestSynced, "True", "there"))]);
        let leaving = || Reports::from([(key("a"), status(ConditionType::GuestSynced, "False", "1/3 nodes"))]);
        let mut progress = Progress::new(steady());
        assert_eq!(progress.news(steady()), ["clusters/a: waiting for the manager"]);
        assert_eq!(progress.news(leaving()), ["clusters/a: GuestSynced (Leaving): 1/3 nodes"]);
        assert!(progress.news(leaving()).is_empty());
        assert_eq!(progress.remaining(), "  clusters/a: GuestSynced (Leaving): 1/3 nodes");
        assert_eq!(progress.news(Reports::new()), ["clusters/a: removed"]);
    }

    #[test]
    fn of_many_only_their_number_is_told() {
        let many = |count: usize| -> Reports {
            (0..count).map(|n| (key(&format!("c{n}")), HostedClusterMirrorsStatus::default())).collect()
        };
        let mut progress = Progress::new(many(30));
        assert!(progress.news(many(30)).is_empty());
        assert_eq!(progress.news(many(25)), ["removed from 5 of 30 hosted clusters"]);
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
        assert!(!progress.is_done(), "nothing was looked at");
        progress.news(Reports::from([(key("a"), kept(true)), (key("b"), kept(false))]));
        assert!(!progress.is_done(), "the control plane of b comes after its guest");
        progress.news(Reports::from([(key("a"), kept(true))]));
        assert!(progress.is_done());
        assert_eq!(progress.kept(), ["  clusters/a: its nodes keep their mirrors"]);
        assert_eq!(progress.removed(), "removed from 1 of 2 hosted clusters");
    }
}
