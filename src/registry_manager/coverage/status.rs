//! The status of a MirrorCoverage from the result of a check. Pure.

mod lists;
pub mod proof;

use std::time::Duration;

use hypermirror_api::mirror_coverage::{CoverageCounts, MirrorFill, UnfilledImage, UpdateCoverage};
use hypermirror_api::{CoverageConditionType, CoverageReason, MirrorCoverageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use self::lists::why_unread;
use self::proof::Proof;
use super::super::status::shown;
use super::fill::backlog::Progress;
use crate::registry::coverage::matrix::Counts;
use crate::registry::coverage::report;
use crate::telemetry::metrics::OutcomeLabels;

/// Where registries are asked from.
const VANTAGE: &str = "the registry-manager, with the network of the management cluster, and with the pull secret and the \
                       additionalTrustBundle of the HostedCluster";

/// Images that are not copied and that are listed.
const MAX_UNFILLED: usize = 20;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the hosted cluster needs now.
    pub report: report::Report,
    /// What it needs after each available update.
    pub updates: Vec<UpdateReport>,
    /// Why its consumers could not be imitated.
    pub trouble: Option<(CoverageReason, String)>,
    /// What is proven about its sources without a fallback.
    pub proof: Proof,
}

/// What a check found about an available update.
#[derive(Clone, Debug)]
pub struct UpdateReport {
    /// The version.
    pub version: String,
    /// The release image.
    pub image: String,
    /// What it needs.
    pub report: report::Report,
}

/// How a check ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Registries were asked.
    Checked(Box<Checked>),
    /// They were not, or not to the end. What the last check has found stays.
    NotChecked(CoverageReason, String),
}

/// A check that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// How.
    pub outcome: &'a Outcome,
    /// Of the HostedCluster.
    pub generation: i64,
    /// The digest of what was checked.
    pub inputs: &'a str,
    /// The annotation when it began.
    pub check_now: Option<&'a str>,
    /// How closely registries were asked.
    pub level: &'static str,
    /// What was copied since the last status, where mirrors are filled.
    pub fill: Option<&'a Progress>,
    /// When it ended.
    pub at: Timestamp,
    /// When the next one is made.
    pub next: Timestamp,
    /// Between two checks.
    pub interval: Duration,
}

/// Whether everything is held.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    status: &'static str,
    reason: CoverageReason,
    message: String,
}

/// The status after a check.
pub fn after(before: Option<&MirrorCoverageStatus>, report: &Report<'_>) -> MirrorCoverageStatus {
    let (held, found) = match report.outcome {
        Outcome::Checked(checked) => (held(checked), found(checked)),
        Outcome::NotChecked(reason, message) => {
            let held = Held { status: "Unknown", reason: *reason, message: message.clone() };
            // An old proof would prove something about mirrors that nobody has asked.
            (held, MirrorCoverageStatus { proof: None, ..before.cloned().unwrap_or_default() })
        }
    };
    let old = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    MirrorCoverageStatus {
        hosted_cluster_generation: report.generation,
        conditions: conditions(old, &held, report),
        fill: report.fill.map(|progress| fill(before.and_then(|before| before.fill.as_ref()), progress)),
        level: report.level.to_owned(),
        vantage: VANTAGE.to_owned(),
        last_check_time: Some(Time(whole_seconds(report.at))),
        next_check_time: Some(Time(whole_seconds(report.next))),
        check_interval_seconds: i64::try_from(report.interval.as_secs().max(1)).unwrap_or(i64::MAX),
        inputs: report.inputs.to_owned(),
        last_handled_check_now: report.check_now.map(str::to_owned),
        ..found
    }
}

fn fill(before: Option<&MirrorFill>, progress: &Progress) -> MirrorFill {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let unfilled = |image: &UnfilledImage| UnfilledImage { message: shown(&image.message), ..image.clone() };
    let last_copy = progress.last_copy.map(|time| Time(whole_seconds(time)));
    MirrorFill {
        copied: before.map_or(0, |before| before.copied).saturating_add_unsigned(progress.copied),
        last_copy_time: last_copy.or_else(|| before?.last_copy_time.clone()),
        remaining: count(progress.remaining),
        unfilled: progress.unfilled.iter().take(MAX_UNFILLED).map(unfilled).collect(),
    }
}

/// The API has a precision of seconds, and the written value must equal the one that is read back.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The lists and counts.
fn found(checked: &Checked) -> MirrorCoverageStatus {
    let counts = checked.report.counts;
    let (missing, missing_truncated) = lists::missing(&checked.report.images);
    let updates: Vec<UpdateCoverage> = checked.updates.iter().map(update).collect();
    let held = updates.iter().filter(|update| update.verdict == "Held").count();
    MirrorCoverageStatus {
        summary: format!("{}/{}", counts.held, counts.total()),
        counts: counts_of(counts),
        missing,
        missing_truncated,
        unknown: lists::unknown(&checked.report),
        updates_summary: format!("{held}/{}", updates.len()),
        available_updates: updates,
        proof: Some(checked.proof.status()),
        ..MirrorCoverageStatus::default()
    }
}

fn counts_of(counts: Counts) -> CoverageCounts {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    CoverageCounts { held: count(counts.held), missing: count(counts.missing), unknown: count(counts.unknown) }
}

fn update(update: &UpdateReport) -> UpdateCoverage {
    let (verdict, message) = match update.report.exit_code() {
        0 => ("Held", String::new()),
        1 => ("Missing", lists::first_missing(&update.report.images)),
        _ => ("Unknown", lists::first_unknown(&update.report)),
    };
    UpdateCoverage {
        version: update.version.clone(),
        image: update.image.clone(),
        verdict: verdict.to_owned(),
        counts: counts_of(update.report.counts),
        message: shown(&message),
    }
}

fn held(checked: &Checked) -> Held {
    let (report, counts) = (&checked.report, checked.report.counts);
    let (missing, unknown, total) = (counts.missing, counts.unknown, counts.total());
    match report.exit_code() {
        0 => {
            let message = format!("registries hold all {total} images that the hosted cluster needs");
            Held { status: "True", reason: CoverageReason::AllHeld, message }
        }
        1 => {
            let first = lists::first_missing(&report.images);
            let message = format!("{missing} of {total} images are missing, the first: {first}");
            Held { status: "False", reason: CoverageReason::ImagesMissing, message }
        }
        _ => {
            let (reason, cause) = match &checked.trouble {
                Some((reason, why)) => (*reason, why.clone()),
                None if !report.unread_releases.is_empty() => {
                    (CoverageReason::ReleaseNotReadable, lists::first_unknown(report))
                }
                None => (CoverageReason::RegistriesNotReadable, lists::first_unknown(report)),
            };
            let message = format!("{unknown} of {total} images are not known: {cause}");
            Held { status: "Unknown", reason, message }
        }
    }
}

/// Those that kstatus reads, beside `Held`.
fn conditions(old: &[Condition], held: &Held, report: &Report<'_>) -> Vec<Condition> {
    use CoverageConditionType::{Held as IsHeld, Ready, Reconciling, Stalled};
    let is_held = held.status == "True";
    // What a registry did not say, it may say soon. What is missing stays missing until somebody copies it.
    let is_tried_soon = matches!(
        held.reason,
        CoverageReason::ReleaseNotReadable | CoverageReason::RegistriesNotReadable | CoverageReason::CheckTimeout
    );
    let is = |value: bool| if value { "True" } else { "False" };
    let states = [
        (IsHeld, held.status),
        (Ready, is(is_held)),
        (Reconciling, is(!is_held && is_tried_soon)),
        (Stalled, is(!is_held && !is_tried_soon)),
    ];
    let condition = |(kind, status): (CoverageConditionType, &'static str)| {
        let before = old.iter().find(|it| it.type_ == kind.as_str() && it.status == status);
        let since = || Time(whole_seconds(report.at));
        Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: held.reason.as_str().to_owned(),
            message: shown(&held.message),
            observed_generation: Some(report.generation),
            last_transition_time: before.map_or_else(since, |before| before.last_transition_time.clone()),
        }
    };
    states.into_iter().map(condition).collect()
}

/// For metrics: the reason of the condition `Held`.
pub fn labels(status: &MirrorCoverageStatus) -> OutcomeLabels {
    let held = status.condition(CoverageConditionType::Held);
    let known = CoverageReason::ALL.iter().find(|reason| held.is_some_and(|held| held.reason == reason.as_str()));
    OutcomeLabels { outcome: known.map_or("", |reason| reason.as_str()) }
}

/// Whether something is not known, now or about an available update: it is checked again soon.
pub fn is_unknown(status: &MirrorCoverageStatus) -> bool {
    let held = status.condition(CoverageConditionType::Held);
    held.is_none_or(|held| held.status == "Unknown")
        || status.counts.unknown > 0
        || status.available_updates.iter().any(|update| update.verdict == "Unknown")
}

/// Whether a status has to be written: it has changed, or the times in the last one are an interval old.
pub fn is_worth_writing(before: Option<&MirrorCoverageStatus>, now: &MirrorCoverageStatus, interval: Duration) -> bool {
    let Some(before) = before else { return true };
    let (Some(last), Some(at)) = (&before.last_check_time, &now.last_check_time) else { return true };
    let timeless = MirrorCoverageStatus {
        last_check_time: now.last_check_time.clone(),
        next_check_time: now.next_check_time.clone(),
        ..before.clone()
    };
    // Intervals differ by a twentieth, and a check takes some time.
    let age = Duration::try_from(at.0.duration_since(last.0)).unwrap_or_default();
    timeless != *now || age >= interval.mul_f64(0.9)
}

#[cfg(test)]
mod tests;
