//! `Registry`: a repository whose tags are scanned. The kind of an earlier operator, whose manifests apply unchanged.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use super::registry_status::{RegistryImage, RegistryStatus, ScanResult, ScanStatus};

/// Seconds between two scans, if the object does not say.
pub const DEFAULT_SCAN_INTERVAL: i64 = 300;

/// A repository to scan, and how its registry is reached.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "registry.kubecontroller.io",
    version = "v1alpha1",
    kind = "Registry",
    plural = "registries",
    singular = "registry",
    category = "hypermirror",
    namespaced,
    status = "RegistryStatus",
    derive = "PartialEq",
    doc = "Registry names a repository in an image registry. The registry-manager of hypermirror scans it periodically and reports its tags with their digests and sizes.",
    printcolumn(json_path = ".spec.url", name = "URL", type_ = "string", description = "Address of the registry"),
    printcolumn(
        json_path = ".spec.repository",
        name = "Repository",
        type_ = "string",
        description = "Repository in the registry"
    ),
    printcolumn(
        json_path = ".status.lastScanStatus",
        name = "Status",
        type_ = "string",
        description = "Result of the last scan: Success or Failed"
    ),
    printcolumn(
        json_path = ".status.lastScanResult.tagCount",
        name = "Tags",
        type_ = "integer",
        priority = 1,
        description = "Number of tags in the last good scan"
    ),
    printcolumn(
        json_path = ".status.lastScanTime",
        name = "Last-Scan",
        type_ = "date",
        priority = 1,
        description = "Time of the last scan"
    ),
    printcolumn(
        json_path = ".status.message",
        name = "Message",
        type_ = "string",
        priority = 1,
        description = "Details of the last scan"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct RegistrySpec {
    /// Address of the registry: `https://HOST[:PORT][/PATH]`. Without a scheme, HTTPS is used. With `http://`, all requests
    /// and credentials are sent in the clear.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = ("!self.contains('@')", "url must not contain a user or password: use credentialsSecret"),
        validation = (
            "self.matches('^(https?://)?[^/:?#\\\\s\\\\[\\\\]]+(:[0-9]+)?(/[^?#\\\\s]*)?$') || self.matches('^(https?://)?\\\\[[0-9a-fA-F:.]+\\\\](:[0-9]+)?(/[^?#\\\\s]*)?$')",
            "url must be https://HOST[:PORT][/PATH], or http:// for a registry without TLS"
        )
    )]
    pub url: String,
    /// Repository to scan, for example `library/nginx`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = (
        "self.matches('^[a-z0-9]+((\\\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\\\.|_|__|-+)[a-z0-9]+)*)*$')",
        "repository must be a path such as library/nginx: lower-case letters and digits, separated by '.', '_', '-' and '/', without a tag"
    ))]
    pub repository: String,
    /// Seconds between two scans. The registry-manager may have a greater minimum. Defaults to 300.
    #[serde(default = "default_scan_interval")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub scan_interval: i64,
    /// Secret with the credentials for the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,
    /// Accept any certificate of the registry and of its token server.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// ServiceAccount in the same namespace whose `imagePullSecrets` have credentials. Used if `credentialsSecret` has none for
    /// the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')", "serviceAccountName must be the name of a ServiceAccount"))]
    pub service_account_name: Option<String>,
    /// Secret with `ca.crt` (authorities to trust besides those of the system), and with `tls.crt` and `tls.key` (a client
    /// certificate for the registry). Each of the two parts is optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretReference>,
    /// Secret with the `address` of a proxy (`http://HOST:PORT`), and optionally `username`, `password` and `noProxy`. It
    /// replaces the proxy of the registry-manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<SecretReference>,
    /// Stop scanning. The last result stays.
    #[serde(default)]
    pub suspend: bool,
    /// Time limit of each request: `30s`, or a number of seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub timeout: Option<IntOrString>,
    /// How the registry is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_config: Option<ScanConfig>,
    /// Which tags are scanned, and in which order they are reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_filter: Option<TagFilterSpec>,
    /// Regular expressions for tags to leave out; each must match the whole tag. If unset, tags of signatures (`.sig`),
    /// attestations (`.att`) and SBOMs (`.sbom`) and `sha256-<digest>` are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 25), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = ("self.all(pattern, ''.matches(pattern) in [true, false])", "exclusionList must have valid regular expressions"))]
    pub exclusion_list: Option<Vec<String>>,
}

const fn default_scan_interval() -> i64 {
    DEFAULT_SCAN_INTERVAL
}

/// A Secret with a user name and a password, or with a docker configuration (`kubernetes.io/dockerconfigjson`,
/// `kubernetes.io/dockercfg`).
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSecret {
    /// Name of the Secret, in the namespace of the Registry.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')", "name must be the name of a Secret"))]
    pub name: String,
    /// Key of the user name.
    #[serde(default = "username")]
    #[schemars(length(min = 1, max = 253))]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "password")]
    #[schemars(length(min = 1, max = 253))]
    pub password_key: String,
}

fn username() -> String {
    "username".to_owned()
}

fn password() -> String {
    "password".to_owned()
}

/// A Secret in the namespace of the Registry.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')", "name must be the name of a Secret"))]
    pub name: String,
}

/// How the registry is asked.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScanConfig {
    /// Time limit of a whole scan: `10m`, or a number of seconds. Defaults to one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub timeout: Option<IntOrString>,
    /// How often a failed request is sent again. Defaults to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub retry_attempts: Option<i32>,
    /// Wait before a failed request is sent again: `500ms`, or a number of seconds. It doubles with each failure up to 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub retry_delay: Option<IntOrString>,
    /// Maximum number of requests at the same time. The actual number adapts to the registry. Defaults to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: Option<i32>,
}

/// Which tags are scanned, and in which order they are reported.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TagFilterSpec {
    /// Regular expression that the whole tag must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("''.matches(self) in [true, false]", "include must be a valid regular expression"))]
    pub include: Option<String>,
    /// Regular expression that the whole tag must not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("''.matches(self) in [true, false]", "exclude must be a valid regular expression"))]
    pub exclude: Option<String>,
    /// Number of tags to scan: the first in the order of `sortBy`. Other tags are only counted. 0: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub limit: Option<i32>,
    /// Order of the tags. Defaults to `newest`.
    #[serde(default)]
    pub sort_by: SortBy,
}

/// An order of tags.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// Newest version first, then other tags by name.
    #[default]
    Newest,
    /// Oldest version first, then other tags by name.
    Oldest,
    /// By name.
    Alphabetical,
    /// Newest build first. Reads the configuration of each image.
    Created,
}

fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "pattern": "^([0-9]+(ms|s|m|h))+$",
        "description": "A duration such as 30s, 500ms or 1h30m, or a number of seconds."
    })
}
