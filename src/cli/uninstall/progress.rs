//! How far the manager is, from the reports: told when it changes.

use std::collections::BTreeMap;

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus};

use super::super::console;
use super::Reports;
use crate::kube::ClusterKey;

/// So many hosted clusters are told one by one; of more, only how many are left.
const ONE_BY_ONE: usize = 20;

/// What was told.
pub struct Progress {
    total: usize,
    states: BTreeMap<ClusterKey, String>,
}

impl Progress {
    /// Begins with these.
    pub fn new(reports: Reports) -> Self {
        let states: BTreeMap<ClusterKey, String> = reports.into_keys().map(|key| (key, String::new())).collect();
        Self { total: states.len(), states }
    }

    /// Tells what is new.
    pub fn tell(&mut self, reports: Reports) {
        for line in self.news(reports) {
            console::note(line);
        }
    }

    /// Takes the reports that are there now; answers what is worth a line.
    fn news(&mut self, reports: Reports) -> Vec<String> {
        let states: BTreeMap<ClusterKey, String> =
            reports.into_iter().map(|(key, status)| (key, state(&status))).collect();
        let before = std::mem::replace(&mut self.states, states);
        self.total = self.total.max(self.states.len());
        if self.total > ONE_BY_ONE {
            let left = self.total - self.states.len();
            let moved = before.len() != self.states.len();
            return moved.then(|| format!("{left} of {} hosted clusters are left", self.total)).into_iter().collect();
        }
        let gone = before.keys().filter(|key| !self.states.contains_key(*key)).map(|key| format!("{key}: left"));
        let changed = self.states.iter().filter(|(key, state)| before.get(*key) != Some(*state));
        gone.chain(changed.map(|(key, state)| format!("{key}: {state}"))).collect()
    }

    /// The hosted clusters whose reports are still there, with what they say.
    pub fn remaining(&self) -> String {
        let mut lines: Vec<String> =
            self.states.iter().take(ONE_BY_ONE).map(|(key, state)| format!("  {key}: {state}")).collect();
        if let Some(more) = self.states.len().checked_sub(ONE_BY_ONE).filter(|more| *more > 0) {
            lines.push(format!("  and {more} more"));
        }
        lines.join("\n")
    }
}

/// What is still to do for a hosted cluster.
fn state(status: &HostedClusterMirrorsStatus) -> String {
    let order = [ConditionType::GuestSynced, ConditionType::NodesUpToDate, ConditionType::ControlPlaneUpToDate];
    let waiting = order.iter().filter_map(|kind| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
        (condition.status != "True").then(|| format!("{} ({}): {}", kind.as_str(), condition.reason, condition.message))
    });
    let waiting: Vec<String> = waiting.collect();
    if waiting.is_empty() { "waits for the manager".to_owned() } else { waiting.join("; ") }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(progress.news(steady()), ["clusters/a: waits for the manager"]);
        assert_eq!(progress.news(leaving()), ["clusters/a: GuestSynced (Leaving): 1/3 nodes"]);
        assert!(progress.news(leaving()).is_empty());
        assert_eq!(progress.remaining(), "  clusters/a: GuestSynced (Leaving): 1/3 nodes");
        assert_eq!(progress.news(Reports::new()), ["clusters/a: left"]);
    }

    #[test]
    fn of_many_only_their_number_is_told() {
        let many = |count: usize| -> Reports {
            (0..count).map(|n| (key(&format!("c{n}")), HostedClusterMirrorsStatus::default())).collect()
        };
        let mut progress = Progress::new(many(30));
        assert!(progress.news(many(30)).is_empty());
        assert_eq!(progress.news(many(25)), ["5 of 30 hosted clusters are left"]);
        assert_eq!(progress.remaining().lines().count(), 21);
    }
}
