//! Media types of manifests, and what is asked for.

/// Everything that a client can read, in one header: a registry that lacks one of them answers 404 for an index, or
/// converts it, which changes the digest.
pub const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.artifact.manifest.v1+json";

/// The media type of an OCI index, also of lists of referrers.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestType {
    /// An OCI image or artifact.
    OciImage,
    /// An OCI index.
    OciIndex,
    /// A Docker image, schema 2.
    DockerImage,
    /// A Docker manifest list.
    DockerList,
    /// The artifact manifest of a release candidate of the OCI specification, which registries still hold.
    OciArtifact,
    /// A Docker image of schema 1: listed, never copied.
    Schema1,
}

impl ManifestType {
    /// The type that a text names; parameters such as `; charset=utf-8` do not count.
    pub fn named(text: &str) -> Option<Self> {
        let name = text.split(';').next().unwrap_or_default().trim();
        Some(match name.to_ascii_lowercase().as_str() {
            "application/vnd.oci.image.manifest.v1+json" => Self::OciImage,
            OCI_INDEX => Self::OciIndex,
            "application/vnd.docker.distribution.manifest.v2+json" => Self::DockerImage,
            "application/vnd.docker.distribution.manifest.list.v2+json" => Self::DockerList,
            "application/vnd.oci.artifact.manifest.v1+json" => Self::OciArtifact,
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Self::Schema1,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OciImage => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => OCI_INDEX,
            Self::DockerImage => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciArtifact => "application/vnd.oci.artifact.manifest.v1+json",
            Self::Schema1 => "application/vnd.docker.distribution.manifest.v1+prettyjws",
        }
    }

    /// Whether it lists other manifests.
    pub const fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// Whether a layer's own registry never has to hold it: `foreign` for Docker, `nondistributable` for OCI.
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_can_be_copied_is_asked_for_and_named_back() {
        for asked in ACCEPT_MANIFESTS.split(", ") {
            let named = ManifestType::named(asked).expect(asked);
            assert_eq!(named.name(), asked);
        }
        assert_eq!(ACCEPT_MANIFESTS.split(", ").count(), 5);
        assert_eq!(ManifestType::named(ManifestType::Schema1.name()), Some(ManifestType::Schema1));
    }

    #[test]
    fn b14_parameters_and_general_types_name_nothing_else() {
        let with_charset = "Application/vnd.oci.image.index.v1+json ; charset=utf-8";
        assert_eq!(ManifestType::named(with_charset), Some(ManifestType::OciIndex));
        for general in ["application/json", "application/octet-stream", "text/plain; charset=utf-8", ""] {
            assert_eq!(ManifestType::named(general), None);
        }
    }
}
