//! The report of one hosted cluster: what is told, when it counts as a transition, and how long it may be.

mod size;

use hypermirror_api::report::{
    Admission, ControlPlaneReport, FindingReport, RolloutReport, SourceReport, TargetReport,
};
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::guest::carried;
use super::observed::{ObservedTarget, short_digest};
use super::plan::{Plan, TargetPlan};
use super::target::TargetSpec;
use crate::mirrors::finding::{Finding, Severity};
use crate::mirrors::{Mirror, Resolved};

pub use size::{REPORT_BYTES, fitted};

/// How much of a status the list of sources may take: an object of etcd has 1.5 MiB, and thousands of reports are kept.
pub const SOURCES_BYTES: usize = 32 * 1024;
/// How many findings are told.
pub const FINDINGS: usize = 50;
/// How long a message may get; the API's limit for conditions is 32,768.
pub const MESSAGE_BYTES: usize = 2048;

/// Something about the sources that no single entry can be blamed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrouble {
    /// `KindVanished`, `SourceUnreadable` or `MalformedObject`.
    pub reason: Reason,
    /// The object or kind, and what to do.
    pub message: String,
}

/// How many findings about the fields of one ConfigMap are kept.
pub const FINDINGS_OF_MAP: usize = 100;
/// How many troubles of one ConfigMap are told: what follows them is cut from every message anyway.
pub const TROUBLES: usize = 50;

/// What a condition should say, before it is compared with what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// From the closed set.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

impl Verdict {
    /// A verdict with its message cut at [`MESSAGE_BYTES`].
    pub fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: cut(message.into()) }
    }

    fn good(message: impl Into<String>) -> Self {
        Self::new("True", Reason::AsExpected, message)
    }
}

/// A message that is not longer than [`MESSAGE_BYTES`].
pub fn cut(mut text: String) -> String {
    cut_at(&mut text, MESSAGE_BYTES);
    text
}

fn cut_at(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes.saturating_sub(3)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// What the sources of one hosted cluster come to. `replaces_nodes`: it has `imageContentSources`, an edit of which makes
/// stock HyperShift replace its nodes.
pub fn sources_verdict(findings: &[&Finding], troubles: &[SourceTrouble], replaces_nodes: bool) -> Verdict {
    // What cannot be seen now may be as it was; everything else is wrong.
    let is_unseen =
        |trouble: &&SourceTrouble| matches!(trouble.reason, Reason::KindVanished | Reason::SourceUnreadable);
    if let Some(trouble) = troubles.iter().find(|trouble| !is_unseen(trouble)).or(troubles.first()) {
        let status = if is_unseen(&trouble) { "Unknown" } else { "False" };
        let messages: Vec<&str> = troubles.iter().map(|trouble| trouble.message.as_str()).collect();
        return Verdict::new(status, trouble.reason, messages.join("; "));
    }
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{} {}: {}", finding.origin, finding.field, finding.message))
        .collect();
    if !errors.is_empty() {
        let text = format!("{} invalid entries are ignored: {}", errors.len(), errors.join("; "));
        return Verdict::new("False", Reason::InvalidEntries, text);
    }
    if replaces_nodes {
        let key = annotations::IMAGE_MIRROR_CONFIG_REF;
        return Verdict::good(format!(
            "all mirror entries are valid; stock HyperShift replaces nodes when spec.imageContentSources is edited, \
             but not when \
             the ConfigMap in annotation {key} is edited"
        ));
    }
    Verdict::good("all mirror entries are valid")
}

/// What the targets come to. `held` is a gate that stopped the change before any target was looked at.
pub fn control_plane_verdict(targets: &[(&TargetSpec, Option<&TargetPlan>)], held: Option<Verdict>) -> Verdict {
    let present: Vec<_> = targets.iter().filter_map(|(spec, plan)| plan.map(|plan| (spec, plan))).collect();
    let bad: Vec<_> = present.iter().filter(|(_, plan)| !plan.up_to_date).collect();
    // Its targets are another one's, and are not looked at.
    if let Some(refused) = held.clone().filter(|held| held.reason == Reason::NamespaceClaimedTwice) {
        return refused;
    }
    if bad.is_empty() && present.len() == targets.len() {
        return Verdict::good("all target Deployments have the override map");
    }
    if let Some(held) = held.filter(|_| !bad.is_empty()) {
        return held;
    }
    if let Some((_, worst)) = bad.first() {
        let messages: Vec<String> = bad
            .iter()
            .map(|(spec, plan)| {
                format!(
                    "{}: {}",
                    spec.deployment,
                    text_or(
                        &plan.message,
                        "waiting for the override \
                                                                                          map to be written"
                    )
                )
            })
            .collect();
        return Verdict::new("False", worst.reason.unwrap_or(Reason::Updating), messages.join("; "));
    }
    if present.is_empty() {
        return Verdict::new(
            "Unknown",
            Reason::TargetsMissing,
            "waiting for the Deployments of the control plane to \
                                                                be created",
        );
    }
    let missing: Vec<&str> =
        targets.iter().filter(|(_, plan)| plan.is_none()).map(|(spec, _)| spec.deployment.as_str()).collect();
    let text =
        format!("waiting for Deployments to be created: {}; the others have the override map", missing.join(", "));
    Verdict::new("True", Reason::TargetsIncomplete, text)
}

fn text_or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// What is told about OLM catalogs: nothing where nothing is annotated about them and nothing was.
pub fn catalogs_verdict(present: Option<Verdict>, old: &[Condition]) -> Option<Verdict> {
    let was_told = old.iter().any(|condition| condition.type_ == ConditionType::CatalogsValid.as_str());
    present.or_else(|| was_told.then(|| Verdict::good("the annotations for OLM catalogs were removed")))
}

/// `Ready`: False if one is False, else Unknown if one is Unknown.
pub fn ready_verdict(parts: &[(ConditionType, &Verdict)]) -> Verdict {
    for status in ["False", "Unknown"] {
        if let Some((kind, verdict)) = parts.iter().find(|(_, verdict)| verdict.status == status) {
            let message = format!("{}: {}", kind.as_str(), verdict.message);
            return Verdict { status, reason: verdict.reason, message: cut(message) };
        }
    }
    Verdict::good("all mirrors are resolved and applied")
}

/// Carries the old conditions on: the time moves only with the status.
pub fn conditions(
    old: &[Condition],
    verdicts: &[(ConditionType, &Verdict)],
    generation: i64,
    now: jiff::Timestamp,
) -> Vec<Condition> {
    // The API keeps seconds: what is told here must equal what comes back.
    let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = |(kind, verdict): &(ConditionType, &Verdict)| {
        let before = old.iter().find(|old| old.type_ == kind.as_str());
        let unchanged = before.filter(|old| old.status == verdict.status);
        Condition {
            type_: kind.as_str().to_owned(),
            status: verdict.status.to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            message: verdict.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: unchanged.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    verdicts.iter().map(condition).collect()
}

/// The report after work that panicked: what it said before, but for whether the control plane has its map, which nobody
/// knows now. The next work that ends well says everything anew.
pub fn work_failed(
    old: Option<&HostedClusterMirrorsStatus>,
    generation: i64,
    now: jiff::Timestamp,
) -> HostedClusterMirrorsStatus {
    let mut status = old.cloned().unwrap_or_default();
    let message = "the reconcile of the hosted cluster failed inside hypermirror and is retried; the manager's log has the details";
    let failed = Verdict::new("Unknown", Reason::WorkFailed, message);
    let is_kept = |kind: ConditionType| !matches!(kind, ConditionType::ControlPlaneUpToDate | ConditionType::Ready);
    let kept: Vec<(ConditionType, Verdict)> = ConditionType::ALL
        .iter()
        .filter_map(|kind| {
            let told = status.conditions.iter().find(|told| is_kept(*kind) && told.type_ == kind.as_str())?;
            Some((*kind, carried(told)))
        })
        .collect();
    let counting = kept.iter().filter(|(_, told)| told.reason != Reason::KubeconfigMissing);
    let control_plane = (ConditionType::ControlPlaneUpToDate, &failed);
    let parts = std::iter::once(control_plane).chain(counting.map(|(kind, told)| (*kind, told)));
    let ready = ready_verdict(&parts.collect::<Vec<_>>());
    let told = conditions(&status.conditions, &[control_plane, (ConditionType::Ready, &ready)], generation, now);
    for condition in told {
        match status.conditions.iter_mut().find(|before| before.type_ == condition.type_) {
            Some(before) => *before = condition,
            None => status.conditions.push(condition),
        }
    }
    status
}

/// The map for people, cut at [`SOURCES_BYTES`]; the second value is how many sources are missing.
pub fn source_reports(resolved: &Resolved) -> (Vec<SourceReport>, usize) {
    let mut reports = Vec::new();
    let mut bytes = 0;
    for (name, source) in &resolved.sources {
        let report = SourceReport {
            source: name.clone(),
            digest_mirrors: locations(&source.digest_mirrors),
            tag_mirrors: locations(&source.tag_mirrors),
            policy: source.policy.as_str().to_owned(),
            origins: source.origins.iter().map(ToString::to_string).collect(),
        };
        bytes += serde_json::to_string(&report).map_or(0, |text| text.len());
        if bytes > SOURCES_BYTES {
            break;
        }
        reports.push(report);
    }
    let missing = resolved.sources.len() - reports.len();
    (reports, missing)
}

fn locations(mirrors: &[Mirror]) -> Vec<String> {
    mirrors.iter().map(|mirror| mirror.location.clone()).collect()
}

/// The first [`FINDINGS`] findings, errors before warnings.
pub fn finding_reports(findings: &[&Finding]) -> Vec<FindingReport> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning);
    let report = |finding: &&Finding| FindingReport {
        severity: finding.severity.as_str().to_owned(),
        reason: finding.reason.as_str().to_owned(),
        origin: finding.origin.to_string(),
        message: cut(format!("{}: {}", finding.field, finding.message)),
    };
    errors.chain(warnings).take(FINDINGS).map(report).collect()
}

/// The targets for people.
pub fn control_plane_report(
    targets: &[(&TargetSpec, Option<&ObservedTarget>)],
    plan: &Plan,
    rollout: Option<RolloutReport>,
    admission: Option<Admission>,
) -> ControlPlaneReport {
    let reports: Vec<TargetReport> = targets
        .iter()
        .zip(&plan.targets)
        .filter_map(|((spec, observed), plan)| Some(target_report(spec, *observed, plan.as_ref()?)))
        .collect();
    let up_to_date = reports.iter().filter(|report| report.up_to_date).count();
    ControlPlaneReport { summary: format!("{up_to_date}/{}", reports.len()), targets: reports, rollout, admission }
}

fn target_report(spec: &TargetSpec, observed: Option<&ObservedTarget>, plan: &TargetPlan) -> TargetReport {
    let admitted = observed.and_then(|observed| observed.overrides.as_deref()).map(short_digest);
    // Not of the stock value: the annotation may be older or newer than what is planned from that.
    let foreign = if admitted.is_some() { &plan.admitted_foreign } else { &plan.foreign };
    TargetReport {
        name: spec.deployment.clone(),
        up_to_date: plan.up_to_date,
        reason: plan.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        message: cut(plan.message.clone()),
        foreign: foreign.clone(),
        admitted: admitted.unwrap_or_default(),
    }
}

/// Which entries of a target's annotation are somebody else's, if the report was written for this very annotation.
pub fn foreign_of(report: Option<&HostedClusterMirrorsStatus>, target: &ObservedTarget) -> Option<String> {
    let admitted = short_digest(target.overrides.as_deref()?);
    let targets = &report?.control_plane.targets;
    targets.iter().find(|told| told.admitted == admitted).map(|told| told.foreign.clone())
}

#[cfg(test)]
mod tests;
