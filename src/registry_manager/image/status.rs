//! The status of an Image from the result of a run. Pure.

use hypermirror_api::image::{ImageHistory, ImageMode, ImagePhase, ImageTag};
use hypermirror_api::{ImageConditionType, ImageReason, ImageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value, json};

use super::super::conditions::{Conditions, is_true};
use super::super::status::budget::fitting;
use super::super::status::shown;
use super::failure::RunFailure;
use super::plan::TagPlan;

/// Runs in the history, as the earlier operator had it.
const HISTORY: usize = 20;
/// Bytes of `tags` as JSON, and of `tagAlreadySynced`: with all else less than the 256 KiB of a Registry's status.
const TAGS_BYTES: usize = 120 * 1024;
const SYNCED_BYTES: usize = 60 * 1024;
/// Tags that a message names.
const NAMED: usize = 5;
/// Fields that describe the last run that had a plan.
const OF_PLAN: [&str; 5] = ["tags", "tagsTruncated", "matchedTags", "syncedTags", "tagAlreadySynced"];
/// All fields that a run may leave out.
const OPTIONAL: [&str; 13] = [
    "history",
    "tagAlreadySynced",
    "matchedTags",
    "syncedTags",
    "tags",
    "tagsTruncated",
    "lastRunBytes",
    "totalBytes",
    "nextRunTime",
    "message",
    "consecutiveFailures",
    "lastHandledCopyNow",
    "lastRunTime",
];

/// What earlier runs left in the status and decides what the next one does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Generation of the last run.
    pub observed_generation: Option<i64>,
    /// The annotation that was handled last.
    pub handled: Option<String>,
    /// When the last run ended.
    pub last_run: Option<Timestamp>,
    /// Result of the last run.
    pub phase: Option<ImagePhase>,
    /// Failed runs since the last good one.
    pub failures: i64,
    /// Whether the condition `Stalled` is True.
    pub is_stalled: bool,
    /// Whether only another spec can help.
    pub is_invalid: bool,
    /// Tags that are not looked at again.
    pub already_synced: Vec<String>,
    /// Runs that succeeded.
    pub history: Vec<ImageHistory>,
    /// Bytes of all runs.
    pub total_bytes: i64,
    /// Tags that the destination has.
    pub synced_tags: i64,
    /// All conditions.
    pub conditions: Vec<Condition>,
}

impl Known {
    /// What a status says.
    pub fn of(status: &ImageStatus) -> Self {
        let stalled = ImageConditionType::Stalled.as_str();
        let is_stalled = is_true(&status.conditions, stalled);
        let invalid = ImageReason::InvalidSpec.as_str();
        Self {
            observed_generation: status.observed_generation,
            handled: status.last_handled_copy_now.clone(),
            last_run: status.last_run_time.as_ref().map(|time| time.0),
            phase: status.phase,
            failures: status.consecutive_failures,
            is_stalled,
            is_invalid: is_stalled && status.conditions.iter().any(|it| it.type_ == stalled && it.reason == invalid),
            already_synced: status.tag_already_synced.clone(),
            history: status.history.clone(),
            total_bytes: status.total_bytes,
            synced_tags: status.synced_tags,
            conditions: status.conditions.clone(),
        }
    }
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// When.
    pub at: Timestamp,
    /// Of the spec that it used.
    pub generation: i64,
    /// The annotation when it began.
    pub copy_now: Option<&'a str>,
    /// The mode, if the spec could be decoded.
    pub mode: Option<ImageMode>,
    /// What became of the tags; nothing if the run had no plan.
    pub tags: Option<&'a [TagPlan]>,
    /// Bytes that it copied.
    pub bytes: u64,
    /// Why it failed.
    pub failure: Option<&'a RunFailure>,
}

/// The patch that names the tags before the first of them is copied.
pub fn planned(tags: &[TagPlan]) -> Value {
    let (shown, is_truncated) = fitting(tags.iter().map(tag), TAGS_BYTES);
    let matched = count(tags.len());
    json!({"status": {
        "phase": ImagePhase::Running, "tags": shown, "tagsTruncated": is_truncated, "matchedTags": matched,
        "syncedTags": count(tags.iter().filter(|tag| tag.is_synced()).count()),
    }})
}

/// The merge patch of the status, and what is known afterwards. `next` says when the next run is, by what is known then.
pub fn after(known: &Known, report: Report<'_>, next: impl FnOnce(&Known) -> Option<Timestamp>) -> (Value, Known) {
    let is_same_spec = known.observed_generation == Some(report.generation);
    let mut status = ImageStatus {
        phase: Some(if report.failure.is_none() { ImagePhase::Completed } else { ImagePhase::Failed }),
        history: known.history.clone(),
        last_generation_seen: report.generation,
        observed_generation: Some(report.generation),
        last_run_bytes: i64::try_from(report.bytes).unwrap_or(i64::MAX),
        last_run_time: Some(Time(report.at)),
        last_handled_copy_now: report.copy_now.map(str::to_owned),
        conditions: conditions(known, &report),
        message: Some(shown(&message(&report))),
        ..ImageStatus::default()
    };
    status.total_bytes = known.total_bytes.saturating_add(status.last_run_bytes);
    let mut kept: &[&str] = &[];
    if let Some(tags) = report.tags {
        status.matched_tags = count(tags.len());
        status.synced_tags = count(tags.iter().filter(|tag| tag.is_synced()).count());
        (status.tags, status.tags_truncated) = fitting(tags.iter().map(tag), TAGS_BYTES);
        if report.mode == Some(ImageMode::OnceByTag) {
            let synced = tags.iter().filter(|tag| tag.is_synced()).map(|tag| tag.tag.clone());
            status.tag_already_synced = fitting(synced, SYNCED_BYTES).0;
        }
    } else if is_same_spec {
        kept = &OF_PLAN;
        status.tag_already_synced.clone_from(&known.already_synced);
        status.synced_tags = known.synced_tags;
    }
    if report.failure.is_some() {
        status.consecutive_failures = known.failures.saturating_add(1);
    } else {
        let copied_tags = report.tags.map_or(0, |tags| count(copied(tags).count()));
        status.history.push(ImageHistory { performed_at: Time(report.at), copied_tags });
        let surplus = status.history.len().saturating_sub(HISTORY);
        status.history.drain(..surplus);
    }
    let now_known = Known::of(&status);
    status.next_run_time = next(&now_known).map(Time);
    (json!({"status": patch(&status, kept)}), now_known)
}

/// The patch for an object whose runs are suspended: its last result stays.
pub fn suspended(known: &Known, generation: i64, at: Timestamp) -> (Value, Known) {
    use ImageConditionType::{Ready, Reconciling, Stalled};
    let set = Conditions { before: &known.conditions, generation, at };
    let (reason, message) = (ImageReason::Suspended.as_str(), "runs are suspended (spec.suspend)");
    let of = |kind: ImageConditionType| set.make(kind.as_str(), false, reason, message);
    let ready = set.kept(Ready.as_str());
    let conditions: Vec<Condition> = ready.into_iter().chain([of(Reconciling), of(Stalled)]).collect();
    let status = json!({
        "phase": ImagePhase::Suspended, "observedGeneration": generation, "conditions": conditions, "nextRunTime": null,
    });
    let known = Known {
        observed_generation: Some(generation),
        phase: Some(ImagePhase::Suspended),
        is_stalled: false,
        is_invalid: false,
        conditions,
        ..known.clone()
    };
    (json!({"status": status}), known)
}

/// An event: whether it is a good one, its reason and its message.
pub type Transition = (bool, &'static str, String);

/// The event of a run: that something was copied, or that the result is another one than before.
pub fn transition(before: &Known, after: &Known, report: &Report<'_>, destination: &str) -> Option<Transition> {
    let copied_some = report.tags.is_some_and(|tags| copied(tags).next().is_some());
    if copied_some && report.failure.is_none() {
        return Some((true, "Copied", format!("to {destination}: {}", message(report))));
    }
    let ready = |known: &Known| {
        let found = known.conditions.iter().find(|it| it.type_ == ImageConditionType::Ready.as_str());
        found.map(|ready| (ready.status.clone(), ready.reason.clone()))
    };
    if ready(before) == ready(after) && !copied_some {
        return None;
    }
    Some((report.failure.is_none(), reason(report).as_str(), message(report)))
}

fn copied(tags: &[TagPlan]) -> impl Iterator<Item = &TagPlan> {
    tags.iter().filter(|tag| tag.state == super::plan::TagState::Copied)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn tag(plan: &TagPlan) -> ImageTag {
    ImageTag {
        tag: plan.tag.clone(),
        destination_tag: Some(plan.destination_tag.clone()).filter(|tag| *tag != plan.tag),
        digest: plan.digest.clone(),
        synced: plan.is_synced(),
        reason: plan.failure().map(|failure| failure.reason.as_str().to_owned()),
    }
}

fn reason(report: &Report<'_>) -> ImageReason {
    match (report.failure, report.tags) {
        (Some(failure), _) => failure.reason,
        (None, Some([])) => ImageReason::NoTagMatches,
        (None, _) => ImageReason::Succeeded,
    }
}

fn message(report: &Report<'_>) -> String {
    if let Some(failure) = report.failure {
        return failure.message.clone();
    }
    let tags = report.tags.unwrap_or_default();
    let copied: Vec<&str> = copied(tags).map(|tag| tag.destination_tag.as_str()).collect();
    if tags.is_empty() {
        return "no tag matches yet".to_owned();
    }
    if copied.is_empty() {
        return format!("all {} tags are up to date", tags.len());
    }
    let more = if copied.len() > NAMED { format!(" and {} more", copied.len() - NAMED) } else { String::new() };
    let named: Vec<&str> = copied.iter().take(NAMED).copied().collect();
    format!("copied {} of {} tags, {} bytes: {}{more}", copied.len(), tags.len(), report.bytes, named.join(", "))
}

fn conditions(known: &Known, report: &Report<'_>) -> Vec<Condition> {
    use ImageConditionType::{Ready, Reconciling, Stalled};
    let (reason, message) = (reason(report), message(report));
    let is_tried_soon = report.failure.is_some_and(|failure| failure.reason.is_transient());
    let set = Conditions { before: &known.conditions, generation: report.generation, at: report.at };
    let of = |kind: ImageConditionType, status| set.make(kind.as_str(), status, reason.as_str(), &message);
    let is_good = report.failure.is_none();
    vec![of(Ready, is_good), of(Reconciling, is_tried_soon), of(Stalled, !is_good && !is_tried_soon)]
}

/// The patch: absent fields are removed, but those that are kept are left as they are.
fn patch(status: &ImageStatus, kept: &[&str]) -> Value {
    let mut fields: Map<String, Value> = OPTIONAL.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    if let Ok(Value::Object(set)) = serde_json::to_value(status) {
        fields.extend(set);
    }
    for name in kept {
        fields.remove(*name);
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests;
