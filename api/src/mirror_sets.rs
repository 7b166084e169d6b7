//! The kinds that declare mirrors: ICSP, IDMS, ITMS and the per-node `ImageMirrorDigestSet`.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::null::null_as_default;

/// `ImageDigestMirrorSet.spec` (`config/v1/types_image_digest_mirror_set.go`).
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "config.openshift.io",
    version = "v1",
    kind = "ImageDigestMirrorSet",
    plural = "imagedigestmirrorsets",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageDigestMirrorSetSpec {
    /// Mirrors for pulls by digest.
    #[serde(deserialize_with = "null_as_default")]
    pub image_digest_mirrors: Vec<SourceMirrors>,
}

/// `ImageTagMirrorSet.spec` (`config/v1/types_image_tag_mirror_set.go`).
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "config.openshift.io",
    version = "v1",
    kind = "ImageTagMirrorSet",
    plural = "imagetagmirrorsets",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageTagMirrorSetSpec {
    /// Mirrors for pulls by tag.
    #[serde(deserialize_with = "null_as_default")]
    pub image_tag_mirrors: Vec<SourceMirrors>,
}

/// `ImageContentSourcePolicy.spec` (`operator/v1alpha1`): digest mirrors without a policy. Its schema has no pattern, so a
/// source may even have a digest.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "operator.openshift.io",
    version = "v1alpha1",
    kind = "ImageContentSourcePolicy",
    plural = "imagecontentsourcepolicies",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageContentSourcePolicySpec {
    /// Mirrors for pulls by digest.
    #[serde(deserialize_with = "null_as_default")]
    pub repository_digest_mirrors: Vec<SourceMirrors>,
}

/// `ImageMirrorDigestSet.spec`, `config.openshift.io/v1alpha1`. Both spellings of its list are read, `imageDigestMirrors`
/// first.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "config.openshift.io",
    version = "v1alpha1",
    kind = "ImageMirrorDigestSet",
    plural = "imagemirrordigestsets",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageMirrorDigestSetSpec {
    /// Mirrors for pulls by digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub image_digest_mirrors: Vec<SourceMirrors>,
    /// The older spelling of the same list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: Vec<SourceMirrors>,
}

/// A source and its mirrors, in the format of all these kinds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceMirrors {
    /// `host[:port][/path]` or `*.host`.
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// The mirrors, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: Vec<String>,
    /// `AllowContactingSource` (default) or `NeverContactSource`. Any other value becomes a finding; decoding accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_source_policy: Option<String>,
    /// Only in `ImageMirrorDigestSet`: do not verify the TLS certificates of the mirrors.
    #[serde(rename = "insecureSkipTLSVerify", skip_serializing_if = "std::ops::Not::not")]
    #[serde(deserialize_with = "null_as_default")]
    pub insecure_skip_tls_verify: bool,
}
