//! The status of a Registry from the result of a scan. Pure.

pub(super) mod budget;

use std::collections::BTreeMap;

use hypermirror_api::registry::{RegistryImage, ScanResult, ScanStatus};
use hypermirror_api::{RegistryConditionType, RegistryReason, RegistryStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value, json};

use super::conditions::{Conditions, is_true};
use crate::digest::short_digest;
use crate::printable;
use crate::registry::scan::inventory::{Inventory, ScanError, ScannedTag};
use crate::registry::{Cause, RegistryError};
use budget::{IMAGES_BYTES, fitting};

/// Tags that the summary names.
const LATEST: usize = 10;
/// Bytes of a message. Registries, Secrets and the spec have a part in it.
const MESSAGE_BYTES: usize = 1_024;
/// Bytes of an annotation's value that the status repeats.
const HANDLED_BYTES: usize = 256;
/// Reasons that a message counts.
const NAMED_REASONS: usize = 3;
/// Fields that describe the last good scan.
const OF_GOOD_SCAN: [&str; 3] = ["images", "imagesTruncated", "lastScanResult"];

/// What earlier scans left in the status and decides what the next one does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Generation of the last scan.
    pub observed_generation: Option<i64>,
    /// The annotation that was handled last, as [`handled`] has it.
    pub handled: Option<String>,
    /// When the last scan ended.
    pub last_scan: Option<Timestamp>,
    /// Result of the last scan.
    pub last_status: Option<ScanStatus>,
    /// Failed scans since the last good one.
    pub failures: i64,
    /// Whether the condition `Stalled` is True.
    pub is_stalled: bool,
    /// Of the last good scan.
    pub revision: Option<String>,
    /// Tags of the last good scan.
    pub tag_count: i64,
    /// Name of the repository that the images are of.
    pub canonical_name: Option<String>,
    /// All conditions.
    pub conditions: Vec<Condition>,
}

impl Known {
    /// What a status says.
    pub fn of(status: &RegistryStatus) -> Self {
        let stalled = RegistryConditionType::Stalled.as_str();
        let result = status.last_scan_result.as_ref();
        Self {
            observed_generation: status.observed_generation,
            handled: status.last_handled_scan_now.clone(),
            last_scan: status.last_scan_time.as_ref().map(|time| time.0),
            last_status: status.last_scan_status,
            failures: status.consecutive_failures,
            is_stalled: is_true(&status.conditions, stalled),
            revision: result.map(|result| result.revision.clone()),
            tag_count: result.map_or(0, |result| result.tag_count),
            canonical_name: status.canonical_image_name.clone(),
            conditions: status.conditions.clone(),
        }
    }
}

/// Why a scan failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanFailure {
    /// For conditions and metrics.
    pub reason: RegistryReason,
    /// For people.
    pub message: String,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
}

impl ScanFailure {
    /// A failure of this reason.
    pub fn new(reason: RegistryReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), throttled_until: None }
    }

    /// The same, of a field of the object.
    #[must_use]
    pub fn of(self, field: &str) -> Self {
        Self { message: format!("{field}: {}", self.message), ..self }
    }

    /// Whether the same scan may succeed soon without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.reason,
            RegistryReason::Throttled
                | RegistryReason::ServerError
                | RegistryReason::Unreachable
                | RegistryReason::Timeout
                | RegistryReason::Invalid
                | RegistryReason::CredentialsUnavailable
                | RegistryReason::SecretUnreadable
        )
    }

    fn of_tag(error: &ScanError) -> Self {
        Self::new(parsed(&error.reason), error.message.clone())
    }
}

impl From<&RegistryError> for ScanFailure {
    fn from(error: &RegistryError) -> Self {
        let throttled_until = match error.cause {
            Cause::Throttled { until } => Some(until),
            _ => None,
        };
        Self { throttled_until, ..Self::of_tag(&ScanError::from(error)) }
    }
}

fn parsed(reason: &str) -> RegistryReason {
    RegistryReason::ALL.iter().copied().find(|known| known.as_str() == reason).unwrap_or(RegistryReason::Invalid)
}

/// A scan that listed tags but could read none of them has failed.
///
/// # Errors
/// Then: with the reason of the first tag.
pub fn judged(inventory: Inventory) -> Result<Inventory, ScanFailure> {
    let first = inventory.tags.first().and_then(ScannedTag::error);
    match first {
        Some(error) if inventory.tags.iter().all(|tag| tag.digest.is_none()) => Err(ScanFailure::of_tag(error)),
        _ => Ok(inventory),
    }
}

/// A scan that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// When.
    pub at: Timestamp,
    /// Of the spec that it used.
    pub generation: i64,
    /// The annotation when it began, as [`handled`] has it.
    pub scan_now: Option<&'a str>,
    /// The repository's name, if the spec has a valid one.
    pub canonical_name: Option<&'a str>,
    /// What people should know.
    pub warning: Option<&'static str>,
    /// What it found.
    pub result: Result<&'a Inventory, &'a ScanFailure>,
}

/// The merge patch of the status, and what is known afterwards.
pub fn after(known: &Known, report: Report<'_>) -> (Value, Known) {
    let conditions = conditions(known, &report);
    let mut status = RegistryStatus {
        observed_generation: Some(report.generation),
        last_scan_time: Some(Time(report.at)),
        last_handled_scan_now: report.scan_now.map(str::to_owned),
        canonical_image_name: report.canonical_name.map(str::to_owned),
        conditions,
        ..RegistryStatus::default()
    };
    // The images of another repository are not the last good ones of this.
    let is_other = report.canonical_name.is_some_and(|name| known.canonical_name.as_deref() != Some(name));
    let mut kept: Vec<&str> = Vec::new();
    match report.result {
        Ok(inventory) => succeeded(&mut status, inventory, &report),
        Err(failure) => {
            status.last_scan_status = Some(ScanStatus::Failed);
            status.message = Some(shown(&failure.message));
            status.consecutive_failures = known.failures.saturating_add(1);
            if !is_other {
                kept.extend(OF_GOOD_SCAN);
            }
            if report.canonical_name.is_none() {
                kept.push("canonicalImageName");
            }
        }
    }
    let mut next = Known::of(&status);
    if !kept.is_empty() {
        next.revision.clone_from(&known.revision);
        next.tag_count = known.tag_count;
        next.canonical_name = next.canonical_name.or_else(|| known.canonical_name.clone());
    }
    (json!({"status": patch(&status, &kept)}), next)
}

fn succeeded(status: &mut RegistryStatus, inventory: &Inventory, report: &Report<'_>) {
    status.last_scan_status = Some(ScanStatus::Success);
    let (images, is_truncated) = fitting(inventory.tags.iter().map(image), IMAGES_BYTES);
    status.images = images;
    status.images_truncated = is_truncated;
    status.message = message(inventory, report.warning).map(|message| shown(&message));
    status.last_scan_result = Some(ScanResult {
        revision: inventory.revision.clone(),
        tag_count: count(inventory.tag_count),
        scanned_count: count(inventory.tags.len()),
        latest_tags: inventory.tags.iter().take(LATEST).map(|tag| tag.tag.clone()).collect(),
        scan_time: Some(Time(report.at)),
    });
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn image(tag: &ScannedTag) -> RegistryImage {
    RegistryImage {
        tag: tag.tag.clone(),
        digest: tag.digest.as_ref().map(ToString::to_string),
        size: tag.content.size.and_then(|size| i64::try_from(size).ok()),
        reason: tag.error().map(|error| error.reason.clone()),
    }
}

/// How many tags could not be read, with the first reason in full; and the warning.
fn message(inventory: &Inventory, warning: Option<&str>) -> Option<String> {
    let errors: Vec<&ScanError> = inventory.tags.iter().filter_map(ScannedTag::error).collect();
    let mut parts: Vec<String> = warning.map(str::to_owned).into_iter().collect();
    if let Some(first) = errors.first() {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for error in &errors {
            *reasons.entry(&error.reason).or_default() += 1;
        }
        let reasons: Vec<String> =
            reasons.iter().take(NAMED_REASONS).map(|(reason, count)| format!("{reason}: {count}")).collect();
        let total = inventory.tags.len();
        parts.push(format!(
            "{} of {total} tags could not be read completely ({}), the first: {}",
            errors.len(),
            reasons.join(", "),
            first.message
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The patch: absent fields are removed, but those that are kept are left as they are.
fn patch(status: &RegistryStatus, kept: &[&str]) -> Value {
    let removed = [
        "message",
        "images",
        "imagesTruncated",
        "canonicalImageName",
        "lastScanResult",
        "consecutiveFailures",
        "lastHandledScanNow",
    ];
    let mut fields: Map<String, Value> = removed.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    if let Ok(Value::Object(set)) = serde_json::to_value(status) {
        fields.extend(set);
    }
    for name in kept {
        fields.remove(*name);
    }
    Value::Object(fields)
}

fn conditions(known: &Known, report: &Report<'_>) -> Vec<Condition> {
    use RegistryConditionType::{Ready, Reconciling, Stalled};
    let (reason, message) = match report.result {
        Ok(inventory) => {
            let has_errors = inventory.tags.iter().any(|tag| tag.error().is_some());
            let reason = if has_errors { RegistryReason::TagsUnreadable } else { RegistryReason::Succeeded };
            let scanned = format!("{} of {} tags scanned", inventory.tags.len(), inventory.tag_count);
            let more = message(inventory, report.warning).map(|more| format!("; {more}")).unwrap_or_default();
            (reason, format!("{scanned}{more}"))
        }
        Err(failure) => (failure.reason, failure.message.clone()),
    };
    let failure = report.result.err();
    let is_tried_soon = failure.is_some_and(ScanFailure::is_transient);
    let set = Conditions { before: &known.conditions, generation: report.generation, at: report.at };
    let of = |kind: RegistryConditionType, status| set.make(kind.as_str(), status, reason.as_str(), &message);
    vec![of(Ready, failure.is_none()), of(Reconciling, is_tried_soon), of(Stalled, failure.is_some() && !is_tried_soon)]
}

/// The patch for an object whose scans are suspended: its last result stays.
pub fn suspended(known: &Known, generation: i64, at: Timestamp) -> (Value, Known) {
    use RegistryConditionType::{Ready, Reconciling, Stalled};
    let set = Conditions { before: &known.conditions, generation, at };
    let (reason, message) = (RegistryReason::Suspended.as_str(), "scans are suspended (spec.suspend)");
    let of = |kind: RegistryConditionType| set.make(kind.as_str(), false, reason, message);
    let ready = set.kept(Ready.as_str());
    let conditions: Vec<Condition> = ready.into_iter().chain([of(Reconciling), of(Stalled)]).collect();
    let patch = json!({"status": {"observedGeneration": generation, "conditions": conditions}});
    (patch, Known { observed_generation: Some(generation), is_stalled: false, conditions, ..known.clone() })
}

/// An annotation's value as the status repeats it: long ones by a digest.
pub fn handled(value: &str) -> String {
    if value.len() <= HANDLED_BYTES {
        return value.to_owned();
    }
    format!("digest:{}", short_digest(value))
}

/// On one line, without control characters, and not too long.
pub(super) fn shown(message: &str) -> String {
    let mut line = printable::line(message).into_owned();
    if line.len() > MESSAGE_BYTES {
        line.truncate(line.floor_char_boundary(MESSAGE_BYTES));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
