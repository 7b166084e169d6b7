//! The `registries.conf` of a build: base images are pulled through the mirrors of the management cluster. Pure.

use hypermirror_api::ImageBuilderReason;

use super::failure::BuildFailure;
use crate::mirrors::MirrorEntry;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::registries::{RegistriesConfig, render};
use crate::mirrors::validate::{Consumer, validate};

/// A short name in a Dockerfile is one of Docker Hub, as everywhere else in this API.
const SHORT_NAMES: &str = "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"permissive\"\n";

/// The whole file, for these entries.
///
/// # Errors
/// Buildah would reject it.
pub fn registries_conf(entries: &[MirrorEntry]) -> Result<String, BuildFailure> {
    let set = merge_layer(&validate(entries, Consumer::Node).entries);
    let rendered = render(&set, &RegistriesConfig::default())
        .map_err(|error| BuildFailure::new(ImageBuilderReason::MirrorsUnusable, error.to_string()))?;
    Ok(format!("{SHORT_NAMES}{}", rendered.text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use hypermirror_api::mirror_sets::ImageTagMirrorSetSpec;
    use serde_json::json;

    use super::*;
    use crate::mirrors::registries::{RegistriesFile, Role};
    use crate::mirrors::{Layer, entry};

    #[test]
    fn mirrors_and_short_names_are_in_one_valid_file() {
        let spec: ImageTagMirrorSetSpec = serde_json::from_value(json!({"imageTagMirrors": [
            {"source": "docker.io/library", "mirrors": ["mirror.example/hub"], "mirrorSourcePolicy": "NeverContactSource"},
        ]}))
        .unwrap();
        for (entries, tables) in [(entry::of_object("tags", &spec, Layer::Management), 1), (Vec::new(), 0)] {
            let text = registries_conf(&entries).unwrap();
            let file = RegistriesFile::parse(text.as_bytes(), Role::Main).unwrap();
            assert_eq!(file.tables.len(), tables, "{text}");
            assert!(text.starts_with("unqualified-search-registries = [\"docker.io\"]\n"));
            assert_eq!(text.contains("location = \"mirror.example/hub\""), tables == 1);
        }
    }
}
