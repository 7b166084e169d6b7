//! The status of an [`crate::image::Image`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// The result of the last runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStatus {
    /// Result of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ImagePhase>,
    /// The last 20 runs that succeeded, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ImageHistory>,
    /// Tags that are not copied again in the mode `OnceByTag`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_already_synced: Vec<String>,
    /// Generation of the Image that the last run used.
    #[serde(skip_serializing_if = "is_zero")]
    pub last_generation_seen: i64,
    /// Generation of the Image that the last run used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of tags that match the version.
    #[serde(skip_serializing_if = "is_zero")]
    pub matched_tags: i64,
    /// Number of tags that the destination has as the source.
    #[serde(skip_serializing_if = "is_zero")]
    pub synced_tags: i64,
    /// The tags that match. Written before the first of them is copied. The list is truncated at a size limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<ImageTag>,
    /// Whether `tags` is truncated.
    #[serde(skip_serializing_if = "is_false")]
    pub tags_truncated: bool,
    /// Bytes that the last run copied.
    #[serde(skip_serializing_if = "is_zero")]
    pub last_run_bytes: i64,
    /// Bytes that all runs copied.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_bytes: i64,
    /// Time at which the last run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// Time of the next run, approximately. Unset if there is none until the Image changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// Details of the last run: why it failed, or how much it copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Number of failed runs since the last good one.
    #[serde(skip_serializing_if = "is_zero")]
    pub consecutive_failures: i64,
    /// Value of the annotation `hypermirror.dev/copy-now` that the last run acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_copy_now: Option<String>,
    /// Conditions of type `Ready`, `Reconciling` and `Stalled`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum ImagePhase {
    /// Tags are being copied.
    Running,
    /// The destination has each tag as the source.
    Completed,
    /// Some tags, or all, could not be copied.
    Failed,
    /// `spec.suspend` is true.
    Suspended,
}

impl ImagePhase {
    /// As in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// A run that succeeded.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageHistory {
    /// Time at which it ended.
    pub performed_at: Time,
    /// Number of tags that it copied.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copied_tags: i64,
}

/// A tag that matches.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageTag {
    /// The tag at the source.
    pub tag: String,
    /// The tag at the destination, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_tag: Option<String>,
    /// Digest at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether the destination was seen with the image.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synced: bool,
    /// Why the tag could not be copied, for example Forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
        "Ready: whether the last run succeeded. Reconciling: whether a failed run is tried again soon. Stalled: whether runs fail until somebody changes the Image, a Secret or a registry.",
        "the Image",
    )
}
