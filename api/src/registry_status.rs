//! The status of a [`crate::registry::Registry`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// The result of the last scans.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryStatus {
    /// Generation of the Registry that the last scan used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Result of the last scan. `Success` if the tags could be listed, also if some of them could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_status: Option<ScanStatus>,
    /// Time at which the last scan ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_time: Option<Time>,
    /// Details of the last scan: why it failed, or which tags could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Tags of the last good scan, in the order of `tagFilter.sortBy`. The list is truncated at a size limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<RegistryImage>,
    /// Whether `images` is truncated. The registry-manager serves the whole list.
    #[serde(skip_serializing_if = "is_false")]
    pub images_truncated: bool,
    /// Name of the repository as in an image reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_image_name: Option<String>,
    /// Summary of the last good scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_result: Option<ScanResult>,
    /// Number of failed scans since the last good one.
    #[serde(skip_serializing_if = "is_zero")]
    pub consecutive_failures: i64,
    /// Value of the annotation `hypermirror.dev/scan-now` that the last scan acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_scan_now: Option<String>,
    /// Conditions of type `Ready`, `Reconciling` and `Stalled`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The result of a scan.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ScanStatus {
    /// The tags could be listed.
    Success,
    /// The tags could not be listed, or none of them could be read.
    Failed,
}

/// A tag and its image.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RegistryImage {
    /// The tag.
    pub tag: String,
    /// Digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Compressed size in bytes. For a tag with several platforms, the sum of all platforms with shared layers counted once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Why the tag could not be read completely, for example Forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The summary of a good scan.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ScanResult {
    /// Digest of all scanned tags and their digests. It changes if a tag is added, removed or moved.
    pub revision: String,
    /// Number of tags in the repository.
    pub tag_count: i64,
    /// Number of tags that match the filter and were scanned.
    pub scanned_count: i64,
    /// The first tags in the order of `tagFilter.sortBy`. At most 10.
    pub latest_tags: Vec<String>,
    /// Time at which the scan ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_time: Option<Time>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_false(value: &bool) -> bool {
    !value
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Ready: whether the last scan succeeded. Reconciling: whether a failed scan is tried again soon. Stalled: whether the scan fails until somebody changes the Registry, a Secret or the registry.",
        "the Registry",
    )
}
