//! One line about the rollouts in the reports.

use anstyle::Style;
use hypermirror_api::report::{RolloutReport, RolloutState};
use hypermirror_api::{ClusterKey, ConditionType, HostedClusterMirrorsStatus, Reason};

use super::super::console::{BAD, WARNING, styled};
use super::Fleet;
use super::tree::find;
use crate::fleet::rollout::messages::named;

/// The line. `None` if no rollout is in flight or waiting.
pub fn print(fleet: &Fleet) -> Option<String> {
    let reports = fleet.iter().filter_map(|(key, status)| Some((key.clone(), status.as_ref()?)));
    let parts = parts(&reports.collect::<Vec<_>>())?;
    let parts = parts.into_iter().map(|(style, text)| style.map_or(text.clone(), |style| styled(style, text)));
    Some(format!("rollouts: {}\n", parts.collect::<Vec<_>>().join(", ")))
}

/// The same without styles.
pub fn summary<'a>(reports: impl Iterator<Item = (&'a ClusterKey, &'a HostedClusterMirrorsStatus)>) -> Option<String> {
    let reports: Vec<_> = reports.map(|(key, status)| (key.to_string(), status)).collect();
    let texts: Vec<String> = parts(&reports)?.into_iter().map(|(_, text)| text).collect();
    Some(format!("Rollouts: {}", texts.join(", ")))
}

fn parts(reports: &[(String, &HostedClusterMirrorsStatus)]) -> Option<Vec<(Option<Style>, String)>> {
    let rollouts: Vec<(&String, &RolloutReport)> = reports
        .iter()
        .filter_map(|(key, status)| Some((key, status.control_plane.rollout.as_ref()?)))
        .filter(|(_, rollout)| rollout.state != RolloutState::Done)
        .collect();
    let with = |reason: Reason| reports.iter().filter(|(_, status)| has(status, reason)).count();
    let halted = with(Reason::RolloutHalted);
    let (waiting, unavailable) = (with(Reason::RolloutWaiting) + halted, with(Reason::TargetsUnavailable));
    if rollouts.is_empty() && waiting + unavailable == 0 {
        return None;
    }
    let limit = rollouts.iter().map(|(_, rollout)| rollout.limit).max();
    let of = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let mut parts = vec![(None, format!("{}{of} in flight", rollouts.len())), (None, format!("{waiting} queued"))];
    if unavailable > 0 {
        parts.push((Some(WARNING), format!("{unavailable} waiting for targets to become available")));
    }
    let failed = rollouts.iter().filter(|(_, rollout)| rollout.state == RolloutState::Failed);
    let failed: Vec<String> = failed.map(|(key, _)| (*key).clone()).collect();
    if !failed.is_empty() {
        let what = if halted > 0 { "halted: not available in time" } else { "not available in time" };
        parts.push((Some(BAD), format!("{what}: {}", named(&failed))));
    }
    Some(parts)
}

fn has(status: &HostedClusterMirrorsStatus, reason: Reason) -> bool {
    find(status, ConditionType::ControlPlaneUpToDate).is_some_and(|condition| condition.reason == reason.as_str())
}
