//! Builds the conditions of a report, and merges them with the previous ones.

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::condition_state::{ConditionState, SourceTrouble, cut};
use super::guest::carried;
use super::plan::{Target, TargetPlan};
use crate::mirrors::finding::{Finding, Severity};

/// The condition `SourcesResolved`. `replaces_nodes` is whether it has `imageContentSources`, whose edits make stock HyperShift
/// replace nodes.
pub fn sources_condition(findings: &[&Finding], problems: &[SourceTrouble], replaces_nodes: bool) -> ConditionState {
    // A source that cannot be read may be unchanged, so the status is Unknown. All other problems result in False.
    let is_unseen =
        |trouble: &&SourceTrouble| matches!(trouble.reason, Reason::KindVanished | Reason::SourceUnreadable);
    if let Some(trouble) = problems.iter().find(|trouble| !is_unseen(trouble)).or(problems.first()) {
        let status = if is_unseen(&trouble) { "Unknown" } else { "False" };
        let messages: Vec<&str> = problems.iter().map(|trouble| trouble.message.as_str()).collect();
        return ConditionState::new(status, trouble.reason, messages.join("; "));
    }
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{} {}: {}", finding.origin, finding.field, finding.message))
        .collect();
    if !errors.is_empty() {
        let text = format!("{} invalid entries are ignored: {}", errors.len(), errors.join("; "));
        return ConditionState::new("False", Reason::InvalidEntries, text);
    }
    if replaces_nodes {
        let key = annotations::IMAGE_MIRROR_CONFIG_REF;
        return ConditionState::good(format!(
            "all mirror entries are valid; stock HyperShift replaces nodes when spec.imageContentSources is edited, but not when \
             the ConfigMap in annotation {key} is edited"
        ));
    }
    ConditionState::good("all mirror entries are valid")
}

/// The condition `ControlPlaneUpToDate`. `held` is the gate that holds the change, if there is one.
pub fn control_plane_condition(targets: &[Target], held: Option<&ConditionState>) -> ConditionState {
    // The targets belong to another HostedCluster and are not considered.
    if let Some(refused) = held.filter(|held| held.reason == Reason::NamespaceClaimedTwice) {
        return refused.clone();
    }
    let present: Vec<(&str, &TargetPlan)> =
        targets.iter().filter_map(|target| Some((target.name(), target.plan.as_ref()?))).collect();
    let bad: Vec<_> = present.iter().filter(|(_, plan)| !plan.up_to_date).collect();
    if bad.is_empty() && present.len() == targets.len() {
        return ConditionState::good("all target Deployments have the override map");
    }
    if let Some(held) = held.filter(|_| !bad.is_empty()) {
        return held.clone();
    }
    if let Some((_, worst)) = bad.first() {
        let message = |(name, plan): &&(&str, &TargetPlan)| {
            format!("{name}: {}", text_or(&plan.message, "waiting for the override map to be written"))
        };
        let messages: Vec<String> = bad.iter().map(message).collect();
        return ConditionState::new("False", worst.reason.unwrap_or(Reason::Updating), messages.join("; "));
    }
    if present.is_empty() {
        return ConditionState::new(
            "Unknown",
            Reason::TargetsMissing,
            "waiting for the Deployments of the control plane to be created",
        );
    }
    let missing: Vec<&str> = targets.iter().filter(|target| target.plan.is_none()).map(Target::name).collect();
    let text =
        format!("waiting for Deployments to be created: {}; the others have the override map", missing.join(", "));
    ConditionState::new("True", Reason::TargetsIncomplete, text)
}

fn text_or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// The condition `CatalogsValid`, if the HostedCluster has or had annotations for OLM catalogs.
pub fn catalogs_condition(present: Option<ConditionState>, old: &[Condition]) -> Option<ConditionState> {
    let was_told = old.iter().any(|condition| condition.type_ == ConditionType::CatalogsValid.as_str());
    present.or_else(|| was_told.then(|| ConditionState::good("the annotations for OLM catalogs were removed")))
}

/// The condition `Ready`: False if a condition is False, otherwise Unknown if a condition is Unknown.
pub fn ready_condition(parts: &[(ConditionType, &ConditionState)]) -> ConditionState {
    for status in ["False", "Unknown"] {
        if let Some((kind, condition)) = parts.iter().find(|(_, condition)| condition.status == status) {
            let message = format!("{}: {}", kind.as_str(), condition.message);
            return ConditionState { status, reason: condition.reason, message: cut(message) };
        }
    }
    ConditionState::good("all mirrors are resolved and applied")
}

/// Merges the conditions with the previous ones. The transition time changes only with the status.
pub fn merge(
    old: &[Condition],
    conditions: &[(ConditionType, &ConditionState)],
    generation: i64,
    now: jiff::Timestamp,
) -> Vec<Condition> {
    // The API has a precision of seconds, and the written value must equal the one that is read back.
    let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = |(kind, condition): &(ConditionType, &ConditionState)| {
        let before = old.iter().find(|old| old.type_ == kind.as_str());
        let unchanged = before.filter(|old| old.status == condition.status);
        Condition {
            type_: kind.as_str().to_owned(),
            status: condition.status.to_owned(),
            reason: condition.reason.as_str().to_owned(),
            message: condition.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: unchanged.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    conditions.iter().map(condition).collect()
}

/// Takes over the transition times of conditions whose status is the same. A report may have been computed before the one that was
/// written last, and would otherwise be written again only because of its times.
pub fn keep_transition_times(old: &[Condition], conditions: &mut [Condition]) {
    for condition in conditions {
        let before = old.iter().find(|old| old.type_ == condition.type_ && old.status == condition.status);
        if let Some(before) = before {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
}

/// The report after a reconcile that panicked: the previous one, with an unknown state of the control plane. The next successful
/// reconcile replaces it.
pub fn work_failed(
    old: Option<&HostedClusterMirrorsStatus>,
    generation: i64,
    now: jiff::Timestamp,
) -> HostedClusterMirrorsStatus {
    let mut status = old.cloned().unwrap_or_default();
    let message = "the reconcile of the hosted cluster failed inside hypermirror and is retried; the manager's log has the details";
    let failed = ConditionState::new("Unknown", Reason::WorkFailed, message);
    let is_kept = |kind: ConditionType| !matches!(kind, ConditionType::ControlPlaneUpToDate | ConditionType::Ready);
    let kept: Vec<(ConditionType, ConditionState)> = ConditionType::ALL
        .iter()
        .filter_map(|kind| {
            let known = status.conditions.iter().find(|known| is_kept(*kind) && known.type_ == kind.as_str())?;
            Some((*kind, carried(known)))
        })
        .collect();
    let counting = kept.iter().filter(|(_, known)| known.reason != Reason::KubeconfigMissing);
    let control_plane = (ConditionType::ControlPlaneUpToDate, &failed);
    let parts = std::iter::once(control_plane).chain(counting.map(|(kind, known)| (*kind, known)));
    let ready = ready_condition(&parts.collect::<Vec<_>>());
    let merged = merge(&status.conditions, &[control_plane, (ConditionType::Ready, &ready)], generation, now);
    for condition in merged {
        match status.conditions.iter_mut().find(|before| before.type_ == condition.type_) {
            Some(before) => *before = condition,
            None => status.conditions.push(condition),
        }
    }
    status
}

#[cfg(test)]
mod tests;
