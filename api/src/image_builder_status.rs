//! The status of an [`crate::image_builder::ImageBuilder`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// Bytes of a log that a status holds.
pub const MAX_LOG_BYTES: usize = 4 * 1024;

/// The result of the last build.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageBuilderStatus {
    /// Result of the last build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BuildPhase>,
    /// Identifies what is built: another spec is another build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Names of the Jobs of the build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ran_jobs: Vec<String>,
    /// Namespace of these Jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_namespace: Option<String>,
    /// Whether the image was pushed and read back.
    pub pushed: bool,
    /// What was pushed for each architecture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<ArchitectureStatus>,
    /// The image that was pushed, with its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its digest: of the index, or of the image if there is one architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The images that the Dockerfile starts from. The list has at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_images: Vec<BaseImage>,
    /// The end of the log of a build that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<BuildLog>,
    /// Time at which the last build started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Time at which the last build that succeeded ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Time of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// Generation of the ImageBuilder that was used last.
    #[serde(skip_serializing_if = "is_zero")]
    pub last_generation_seen: i64,
    /// Generation of the ImageBuilder that was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Value of the annotation `hypermirror.dev/build-now` that was acknowledged last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_build_now: Option<String>,
    /// Number of failed attempts since the last good one.
    #[serde(skip_serializing_if = "is_zero")]
    pub consecutive_failures: i64,
    /// Details of the last build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Conditions of type `Ready`, `Reconciling` and `Stalled`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The result of a build.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum BuildPhase {
    /// Jobs are running.
    Building,
    /// The image was pushed and read back.
    Completed,
    /// There is no image of this spec.
    Failed,
}

impl BuildPhase {
    /// As in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "BUILDING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// What was pushed for an architecture.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ArchitectureStatus {
    /// amd64 or arm64.
    pub architecture: String,
    /// Digest of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The image that its last stage starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_image: Option<String>,
    /// Digest of that image, as it was when this one was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_digest: Option<String>,
}

/// An image that a Dockerfile starts from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseImage {
    /// As in the Dockerfile, with the defaults of its arguments.
    pub name: String,
    /// Whether it is named by digest. Others may be another image in the next build.
    pub pinned: bool,
}

/// The end of a log.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildLog {
    /// amd64 or arm64.
    pub architecture: String,
    /// The container: `build` or `push`.
    pub container: String,
    /// Its last lines. Values that look like credentials are replaced.
    pub text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Ready: whether the image of this spec was pushed. Reconciling: whether it is being built, or is tried again soon. Stalled: whether builds fail until somebody changes the ImageBuilder, a Secret, a registry or the cluster.",
        "the ImageBuilder",
    )
}
