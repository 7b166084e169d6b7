//! Where mirrors of the management cluster may hold the image of a catalog. HyperShift applies them to no catalog, because it does
//! not know whether they hold it; a proof does.

use std::collections::BTreeMap;

use crate::mirrors::scope::best_match_in;
use crate::mirrors::{ImageReference, Resolved};

/// Stock images that are looked for. There are three catalogs.
pub const MAX_IMAGES: usize = 8;

/// The image at each mirror of the longest source that matches it, in order.
pub fn mirrored(map: &Resolved, image: &str) -> Vec<String> {
    let Ok(reference) = ImageReference::parse(image) else { return Vec::new() };
    let found = best_match_in(&reference.name(), |source| map.sources.contains_key(source));
    let Some((source, resolved)) = found.and_then(|(source, _)| map.sources.get_key_value(&source)) else {
        return Vec::new();
    };
    // A wildcard has no text to replace, and a mirror that is the source is no other place.
    let Some(rest) = image.strip_prefix(source.as_str()) else { return Vec::new() };
    resolved.all_mirrors().filter(|mirror| mirror != source).map(|mirror| format!("{mirror}{rest}")).collect()
}

/// The proven images that are at declared mirrors. Who proves must not choose what a hosted cluster runs.
pub fn declared(map: &Resolved, proven: BTreeMap<String, String>) -> BTreeMap<String, String> {
    proven.into_iter().filter(|(image, mirror)| mirrored(map, image).contains(mirror)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::fixtures::{digest, tag};
    use crate::mirrors::merge::merge_layer;

    #[test]
    fn an_image_may_be_at_each_mirror_of_the_longest_source() {
        let map = merge_layer(&[
            digest("registry.redhat.io", "one.example"),
            digest("registry.redhat.io/redhat", "two.example/rh registry.redhat.io/redhat three.example/rh"),
            tag("registry.redhat.io/redhat", "four.example"),
            digest("*.wild.example", "five.example"),
        ]);
        for (image, expected) in [
            (
                "registry.redhat.io/redhat/redhat-operator-index:v4.20",
                vec![
                    "two.example/rh/redhat-operator-index:v4.20",
                    "three.example/rh/redhat-operator-index:v4.20",
                    "four.example/redhat-operator-index:v4.20",
                ],
            ),
            ("registry.redhat.io/ubi9/ubi:latest", vec!["one.example/ubi9/ubi:latest"]),
            ("quay.io/a/b:c", vec![]),
            ("a.wild.example/b:c", vec![]),
            ("Not An Image", vec![]),
        ] {
            assert_eq!(mirrored(&map, image), expected, "{image}");
        }
    }

    #[test]
    fn a_proof_for_any_other_place_does_not_count() {
        let map = merge_layer(&[digest("registry.redhat.io/redhat", "m.example/rh")]);
        let proven = |mirror: &str| BTreeMap::from([("registry.redhat.io/redhat/a:v1".to_owned(), mirror.to_owned())]);
        assert_eq!(declared(&map, proven("m.example/rh/a:v1")), proven("m.example/rh/a:v1"));
        for other in ["evil.example/rh/a:v1", "m.example/rh/a:v2", "m.example/rh/b:v1"] {
            assert!(declared(&map, proven(other)).is_empty(), "{other}");
        }
    }
}
