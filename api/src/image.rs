//! `Image`: an image that is copied from one registry to another. The kind of an earlier operator, whose manifests apply
//! unchanged.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::image_status::{ImageHistory, ImagePhase, ImageStatus, ImageTag};
use super::registry::{CredentialsSecret, SecretReference};

/// The frequency of an object that has none.
pub const DEFAULT_FREQUENCY: &str = "5m";
/// Tags that a version may match, if the object does not say.
pub const DEFAULT_MAX_TAGS: i32 = 200;

/// What to copy, where to, and how often.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "skopeo.io",
    version = "v1alpha1",
    kind = "Image",
    plural = "images",
    singular = "image",
    category = "hypermirror",
    namespaced,
    status = "ImageStatus",
    derive = "PartialEq",
    doc = "Image names an image in a registry and where to copy it: one tag, or all tags that match a version. The registry-manager of hypermirror copies it once, once for each tag, or periodically.",
    printcolumn(
        json_path = ".spec.mode",
        name = "Mode",
        type_ = "string",
        description = "OneShot, OnceByTag or Recurrent"
    ),
    printcolumn(
        json_path = ".spec.source.name",
        name = "Source",
        type_ = "string",
        description = "Repository to copy from"
    ),
    printcolumn(
        json_path = ".spec.source.version",
        name = "Version",
        type_ = "string",
        description = "Tag or tags to copy"
    ),
    printcolumn(
        json_path = ".spec.destination.name",
        name = "Destination",
        type_ = "string",
        description = "Repository to copy to"
    ),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string", description = "Result of the last run"),
    printcolumn(
        json_path = ".status.syncedTags",
        name = "Synced",
        type_ = "integer",
        priority = 1,
        description = "Number of tags that the destination has as the source"
    ),
    printcolumn(
        json_path = ".status.lastRunTime",
        name = "Last-Run",
        type_ = "date",
        description = "Time of the last run"
    ),
    printcolumn(
        json_path = ".status.message",
        name = "Message",
        type_ = "string",
        priority = 1,
        description = "Details of the last run"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// `OneShot` copies once. `OnceByTag` copies each tag that matches once, also tags that appear later. `Recurrent` copies
    /// what has changed in each period.
    pub mode: ImageMode,
    /// Where to copy from.
    pub source: ImageEnd,
    /// Where to copy to.
    pub destination: ImageEnd,
    /// Time between two runs: a number and a unit (`s`, `m`, `h`, `d`, `w`), for example `30s`, `15m`, `1d`. Defaults to `5m`.
    #[serde(default = "default_frequency")]
    #[schemars(length(max = 64))]
    pub frequency: String,
    /// Also copy release candidates of the versions that match: `-rc1` to `-rc99`.
    #[serde(default)]
    pub allow_candidate_release: bool,
    /// Maximum number of tags that the version may match. If more match, nothing is copied. Defaults to 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_tags: Option<i32>,
    /// Platforms to copy, for example `linux/arm64`. If unset, images are copied whole, with all platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 3, max = 64)))]
    #[x_kube(validation = (
        "self.all(platform, platform.matches('^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$'))",
        "platforms must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, for example linux/arm64"
    ))]
    pub platforms: Option<Vec<String>>,
    /// Also copy signatures, attestations and other referrers. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrers: Option<bool>,
    /// Stop copying. The last result stays.
    #[serde(default)]
    pub suspend: bool,
}

fn default_frequency() -> String {
    DEFAULT_FREQUENCY.to_owned()
}

/// When an image is copied.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ImageMode {
    /// Once.
    OneShot,
    /// Each tag once.
    OnceByTag,
    /// What has changed, in each period.
    Recurrent,
}

/// A repository and a version in it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageEnd {
    /// Name of the repository, for example `quay.io/nginx/nginx-ingress`. Without a registry, it is one of Docker Hub; a
    /// destination is one of the default registry of the registry-manager, if that has one.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = ("!self.contains('://')", "name must be HOST/PATH, without https:// (for a registry without TLS, set plainHttp)"),
        validation = ("!self.contains('@')", "name must not contain a user, a password or a digest")
    )]
    pub name: String,
    /// A tag (`3.7-alpine`), a pattern (`2.13.x`, `2.x.0`, `4.x.x`, with or without `v`), or a range (`>=2.13 <2.14`). With a
    /// pattern or a range, each tag is copied to the tag of the same name.
    #[schemars(length(min = 1, max = 256))]
    pub version: String,
    /// Use the registry-manager's own AWS identity, for registries of ECR.
    #[serde(default, rename = "useAwsIRSA", skip_serializing_if = "Option::is_none")]
    pub use_aws_irsa: Option<bool>,
    /// Secret with the credentials for the registry, in the namespace of the Image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,
    /// Secret with `ca.crt`, or with `tls.crt` and `tls.key` (a client certificate), or with all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretReference>,
    /// Accept any certificate of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// Use HTTP. Images and credentials are sent in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
}
