//! The kinds that declare mirrors: ICSP, IDMS, ITMS and the per-node `ImageMirrorDigestSet`.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

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
    pub image_tag_mirrors: Vec<SourceMirrors>,
}

/// `ImageContentSourcePolicy.spec` (`operator/v1alpha1`): digest mirrors without a policy, and without a pattern, so that
/// a source may even carry a digest.
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
    pub repository_digest_mirrors: Vec<SourceMirrors>,
}

/// `ImageMirrorDigestSet.spec`, `config.openshift.io/v1alpha1`: both spellings of its list are read, `imageDigestMirrors`
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
    pub image_digest_mirrors: Vec<SourceMirrors>,
    /// The older spelling of the same list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<SourceMirrors>,
}

/// One source with its mirrors, as all of these kinds write it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceMirrors {
    /// `host[:port][/path]` or `*.host`.
    pub source: String,
    /// Where to pull from instead, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// `AllowContactingSource` (also when unset) or `NeverContactSource`; any other value is reported, not refused here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_source_policy: Option<String>,
    /// Only in `ImageMirrorDigestSet`: talk to the mirrors without verified TLS.
    #[serde(rename = "insecureSkipTLSVerify", skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
}
