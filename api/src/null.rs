//! Decodes null like an absent field.

use serde::{Deserialize, Deserializer};

/// Decodes null as the default value, for fields whose struct has `#[serde(default)]`. API servers drop null for fields that
/// are not nullable, and Go decodes it as the zero value.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::hypershift::{HostedCluster, NodePool};
    use crate::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageMirrorDigestSet, ImageTagMirrorSet};

    fn object(spec: &serde_json::Value) -> serde_json::Value {
        json!({"metadata": {"name": "a", "labels": null, "annotations": null}, "spec": spec})
    }

    #[test]
    fn null_is_the_same_as_a_list_that_is_left_out() {
        let entries = json!([{"source": "a", "mirrors": null, "mirrorSourcePolicy": null}]);
        let read: ImageDigestMirrorSet =
            serde_json::from_value(object(&json!({"imageDigestMirrors": entries}))).unwrap();
        assert!(read.spec.image_digest_mirrors[0].mirrors.is_empty());
        let read: ImageTagMirrorSet = serde_json::from_value(object(&json!({"imageTagMirrors": null}))).unwrap();
        assert!(read.spec.image_tag_mirrors.is_empty());
        let spec = json!({"repositoryDigestMirrors": null});
        let read: ImageContentSourcePolicy = serde_json::from_value(object(&spec)).unwrap();
        assert!(read.spec.repository_digest_mirrors.is_empty());
        let spec = json!({"imageDigestMirrors": null, "mirrors": [{"source": "a", "insecureSkipTLSVerify": null}]});
        let read: ImageMirrorDigestSet = serde_json::from_value(object(&spec)).unwrap();
        assert_eq!(read.spec.mirrors.len(), 1);
    }

    #[test]
    fn null_is_no_setting_of_a_hosted_cluster_and_of_a_node_pool() {
        let spec = json!({"imageContentSources": [{"source": "a", "mirrors": null}], "imageMirrorConfigRef": null,
            "configuration": {"operatorhub": {"disableAllDefaultSources": null}}, "pausedUntil": null});
        let read: HostedCluster = serde_json::from_value(object(&spec)).unwrap();
        assert!(read.spec.image_content_sources[0].mirrors.is_empty());
        let read: NodePool = serde_json::from_value(object(&json!({"clusterName": "c", "config": null}))).unwrap();
        assert!(read.spec.config.is_empty());
    }
}
