//! `ImportRule`: what may be copied to a registry for pods that cannot pull it from there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::registry::{CredentialsSecret, SecretReference};
use super::schema;

/// Imports in an hour, if the rule does not say.
pub const DEFAULT_IMPORTS_PER_HOUR: i32 = 30;

/// Which images may be imported, from where and to where, and for whose pods.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "hypermirror.dev",
    version = "v1alpha1",
    kind = "ImportRule",
    plural = "importrules",
    singular = "importrule",
    category = "hypermirror",
    namespaced,
    status = "ImportRuleStatus",
    derive = "PartialEq",
    doc = "ImportRule allows the registry-manager to copy an image that a pod cannot pull: from the source prefix to the destination prefix, under the same name. It has no effect unless the registry-manager has FEATURE_COPY_ON_THE_FLY=true and --destination-allow names the destination.",
    printcolumn(
        json_path = ".spec.source.prefix",
        name = "Source",
        type_ = "string",
        description = "Where images are copied from"
    ),
    printcolumn(
        json_path = ".spec.destination.prefix",
        name = "Destination",
        type_ = "string",
        description = "Where images are copied to"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        name = "Ready",
        type_ = "string",
        description = "Whether images are imported"
    ),
    printcolumn(
        json_path = ".status.imported",
        name = "Imported",
        type_ = "integer",
        description = "Number of images that were imported"
    ),
    printcolumn(
        json_path = ".status.lastImportTime",
        name = "Last-Import",
        type_ = "date",
        description = "Time since the last import"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        name = "Reason",
        type_ = "string",
        priority = 1,
        description = "Reason of the Ready condition"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.source.prefix != self.destination.prefix")
        .message(Message::Expression("'destination.prefix ' + self.destination.prefix + ' is the same as source.prefix'".into())),
    validation = (
        "(has(self.tags) && size(self.tags) > 0) || !has(self.digests) || self.digests",
        "digests is false and tags is empty: nothing would be imported"
    )
)]
pub struct ImportRuleSpec {
    /// Where images are copied from.
    pub source: ImportEnd,
    /// Where images are copied to: the place from which pods pull, after the mirrors of the cluster.
    pub destination: ImportEnd,
    /// Tags that may be imported: tags (`latest`), patterns (`2.13.x`, `2.x.0`) or ranges (`>=2.13 <2.14`), as in an Image. If unset,
    /// no image is imported by its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 256)))]
    pub tags: Option<Vec<String>>,
    /// Import images that pods name by digest. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<bool>,
    /// Namespaces whose pods count. Defaults to the namespace of the rule. Others must be allowed by the registry-manager's
    /// `--import-namespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message(Message::Expression(
            "'namespaces has ' + self.filter(name, !name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))[0] + ', which is no name of a namespace'".into()
        )))]
    pub namespaces: Option<Vec<String>>,
    /// Maximum number of images to import in an hour. Defaults to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600))]
    pub imports_per_hour: Option<i32>,
    /// Stop importing. The last result stays.
    #[serde(default)]
    pub suspend: bool,
}

/// A prefix of repositories, and how its registry is reached.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImportEnd {
    /// `HOST[:PORT][/PATH]`, for example `quay.io/acme`. It covers whole parts of a path: `quay.io/acme/app`, but not
    /// `quay.io/acmes`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]+)?(/[a-z0-9]+((\\\\.|_|__|-+)[a-z0-9]+)*)*$')")
            .message(Message::Expression("'prefix ' + self + ' is not HOST[:PORT][/PATH], without a scheme, a tag or a trailing slash'".into())),
        validation = Rule::new("self.matches('^([^/]*[.:][^/]*|localhost)(/|$)')")
            .message(Message::Expression("'prefix ' + self + ' names no registry: write docker.io/' + self + ' for Docker Hub'".into()))
    )]
    pub prefix: String,
    /// Secret with the credentials for the registry, in the namespace of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<CredentialsSecret>,
    /// Secret with `ca.crt`, or with `tls.crt` and `tls.key` (a client certificate), or with all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretReference>,
    /// Use HTTP. Images and credentials are sent in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
}

/// What was imported by a rule.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ImportRuleStatus {
    /// Generation of the spec that is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of type `Ready`, `Stalled` and `Limited`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Number of images that were imported.
    pub imported: i64,
    /// Number of attempts that failed.
    pub failed: i64,
    /// Bytes that were sent to the destination.
    pub bytes: i64,
    /// Time of the last import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_import_time: Option<Time>,
    /// Beginning of the hour in which `windowImports` are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start_time: Option<Time>,
    /// Number of imports in that hour.
    pub window_imports: i64,
    /// The last 20 attempts, the newest first.
    pub imports: Vec<ImportLine>,
}

/// One attempt to import an image.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ImportLine {
    /// Time at which it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The image as the pod names it.
    pub image: String,
    /// One of the pods that could not pull it, `namespace/name`.
    pub pod: String,
    /// Where it was copied from.
    pub source: String,
    /// Where it was copied to.
    pub destination: String,
    /// `Imported`, or why it was not.
    pub result: String,
    /// Digest of the image, if it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Human-readable details of a failure.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ImportRuleStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: super::ImportConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind.as_str())
    }
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Ready: whether images are imported. Stalled: whether somebody has to act. Limited: whether importsPerHour holds imports.",
        "the rule",
    )
}
