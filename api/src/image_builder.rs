//! `ImageBuilder`: an image that is built from a Dockerfile. The kind of an earlier operator, whose manifests apply unchanged.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::ImageEnd;
pub use super::image_builder_status::{
    ArchitectureStatus, BaseImage, BuildLog, BuildPhase, ImageBuilderStatus, MAX_LOG_BYTES,
};
use super::registry::{CredentialsSecret, SecretReference};

/// Seconds that a build may take, if the object does not say.
pub const DEFAULT_DEADLINE_SECONDS: i64 = 3_600;
/// Disk space of a build, if the object does not say.
pub const DEFAULT_STORAGE_LIMIT: &str = "20Gi";

/// What to build, for which architectures, and where to push it.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "buildah.io",
    version = "v1alpha1",
    kind = "ImageBuilder",
    plural = "imagebuilders",
    singular = "imagebuilder",
    category = "hypermirror",
    namespaced,
    status = "ImageBuilderStatus",
    derive = "PartialEq",
    doc = "ImageBuilder has a Dockerfile and the name of the image that is built from it, for one or two architectures. The registry-manager of hypermirror builds it with Buildah in Jobs, and pushes it to a registry.",
    printcolumn(
        json_path = ".spec.architecture",
        name = "Architecture",
        type_ = "string",
        description = "amd64, arm64 or both"
    ),
    printcolumn(
        json_path = ".spec.image.name",
        name = "Image",
        type_ = "string",
        description = "Repository to push to"
    ),
    printcolumn(json_path = ".spec.image.version", name = "Version", type_ = "string", description = "Tag to push"),
    printcolumn(
        json_path = ".status.phase",
        name = "Phase",
        type_ = "string",
        description = "Result of the last build"
    ),
    printcolumn(
        json_path = ".status.digest",
        name = "Digest",
        type_ = "string",
        priority = 1,
        description = "Digest of the last image that was built"
    ),
    printcolumn(
        json_path = ".status.message",
        name = "Message",
        type_ = "string",
        priority = 1,
        description = "Details of the last build"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct ImageBuilderSpec {
    /// Architectures to build for. Each is built on a node of that architecture. With `both`, the tag is an index of two images.
    pub architecture: BuildArchitecture,
    /// The image.
    pub image: BuiltImage,
    /// The Dockerfile. There are no other files in the build context.
    #[schemars(length(min = 1, max = 131_072))]
    pub source: String,
    /// Resources of the containers that build and push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<BuildResources>,
    /// Secrets with the credentials for base images, in the namespace of the ImageBuilder, of the type
    /// `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`. The commands of the Dockerfile can read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub pull_secrets: Option<Vec<SecretReference>>,
    /// Seconds that a build may take. Defaults to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86_400))]
    pub deadline_seconds: Option<i64>,
    /// Disk space that a build may use on its node, for example `20Gi`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^[0-9]+([.][0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?$')", "storageLimit must be a quantity, for example 20Gi"))]
    pub storage_limit: Option<String>,
}

/// Architectures to build for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BuildArchitecture {
    /// arm64.
    Arm64,
    /// amd64.
    Amd64,
    /// amd64 and arm64.
    Both,
}

/// An image to build.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// Name of the repository, for example `registry.example/team/node`. Without a registry, it is one of the default registry
    /// of the registry-manager, or else of Docker Hub.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = ("!self.contains('://')", "name must be HOST/PATH, without https:// (for a registry without TLS, set plainHttp)"),
        validation = ("!self.contains('@')", "name must not contain a user, a password or a digest")
    )]
    pub name: String,
    /// The tag. The image of each architecture gets it with `-amd64` or `-arm64`.
    #[schemars(length(min = 1, max = 122))]
    pub version: String,
    /// Use the registry-manager's own AWS identity, for registries of ECR. The commands of the Dockerfile can read its token, so
    /// an administrator must allow it.
    #[serde(default, rename = "useAwsIRSA", skip_serializing_if = "Option::is_none")]
    pub use_aws_irsa: Option<bool>,
    /// Secret with the credentials for the registry, in the namespace of the ImageBuilder. The commands of the Dockerfile can
    /// read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,
    /// Secret with `ca.crt`, the authority of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretReference>,
    /// Accept any certificate of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// Use HTTP. Images and credentials are sent in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
}

impl BuiltImage {
    /// The same as the destination of an [`crate::Image`].
    pub fn as_end(&self) -> ImageEnd {
        ImageEnd {
            name: self.name.clone(),
            version: self.version.clone(),
            use_aws_irsa: self.use_aws_irsa,
            credentials_secret: self.credentials_secret.clone(),
            cert_secret_ref: self.cert_secret_ref.clone(),
            insecure_skip_verify: self.insecure_skip_verify,
            plain_http: self.plain_http,
        }
    }
}

/// Resources of a container.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildResources {
    /// The most that it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
    /// What its node must have for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
}

/// Amounts of resources.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Processors, for example `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^[0-9]+([.][0-9]+)?m?$')", "cpu must be a quantity, for example 500m"))]
    pub cpu: Option<String>,
    /// Memory, for example `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^[0-9]+([.][0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?$')", "memory must be a quantity, for example 2Gi"))]
    pub memory: Option<String>,
}
