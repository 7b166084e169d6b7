//! The lists of a report, truncated.

use hypermirror_api::report::{
    Admission, ControlPlaneReport, FindingReport, RolloutReport, SourceReport, TargetReport,
};

use crate::digest::short_digest;
use crate::hosted::condition_state::cut;
use crate::hosted::plan::Target;
use crate::mirrors::finding::{Finding, Severity};
use crate::mirrors::{Mirror, Resolved};

/// Maximum size of the list of sources: far below etcd's limit of 1.5 MiB, because thousands of reports are in memory.
pub const SOURCES_BYTES: usize = 32 * 1024;
/// Maximum number of findings.
pub const FINDINGS: usize = 50;
/// The map, truncated at [`SOURCES_BYTES`], and the number of omitted sources.
pub(super) fn source_reports(resolved: &Resolved) -> (Vec<SourceReport>, usize) {
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
pub(super) fn finding_reports(findings: &[&Finding]) -> Vec<FindingReport> {
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

/// The targets.
pub(super) fn control_plane_report(
    targets: &[Target],
    rollout: Option<RolloutReport>,
    admission: Option<Admission>,
) -> ControlPlaneReport {
    let reports: Vec<TargetReport> = targets.iter().filter_map(target_report).collect();
    let up_to_date = reports.iter().filter(|report| report.up_to_date).count();
    ControlPlaneReport { summary: format!("{up_to_date}/{}", reports.len()), targets: reports, rollout, admission }
}

fn target_report(target: &Target) -> Option<TargetReport> {
    let plan = target.plan.as_ref()?;
    let admitted = target.observed.as_ref().and_then(|observed| observed.overrides.as_ref());
    let admitted = admitted.map(|overrides| short_digest(overrides.as_str()));
    // Not from the stock value, because the annotation may be older or newer than the plan's input.
    let foreign = if admitted.is_some() { &plan.annotated_foreign } else { &plan.foreign };
    Some(TargetReport {
        name: target.name().to_owned(),
        up_to_date: plan.up_to_date,
        reason: plan.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        message: cut(plan.message.clone()),
        foreign: foreign.to_string(),
        admitted: admitted.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_map_is_truncated_and_the_omitted_sources_are_counted() {
        let source = |n: usize| (format!("s.example/{n:05}"), crate::mirrors::ResolvedSource::default());
        let resolved = Resolved { sources: (0..2000).map(source).collect() };
        let (reports, missing) = source_reports(&resolved);
        assert_eq!(reports.len() + missing, 2000);
        let bytes: usize = reports.iter().map(|report| serde_json::to_string(report).unwrap().len()).sum();
        assert!(missing > 0 && bytes <= SOURCES_BYTES);
    }
}
