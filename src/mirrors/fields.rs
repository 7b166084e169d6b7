//! Unknown fields of mirror sets. An API server rejects or drops them, and the decoder ignores them silently.

use serde_json::Value;

const ENTRY: &[&str] = &["source", "mirrors", "mirrorSourcePolicy"];
const ICSP_ENTRY: &[&str] = &["source", "mirrors"];
const NODE_ENTRY: &[&str] = &["source", "mirrors", "mirrorSourcePolicy", "insecureSkipTLSVerify"];

/// The paths of the unknown fields of a mirror set of this kind. Empty for other kinds.
pub fn unknown(kind: &str, object: &Value) -> Vec<String> {
    let (lists, entry): (&[&str], &[&str]) = match kind {
        "ImageContentSourcePolicy" => (&["repositoryDigestMirrors"], ICSP_ENTRY),
        "ImageDigestMirrorSet" => (&["imageDigestMirrors"], ENTRY),
        "ImageTagMirrorSet" => (&["imageTagMirrors"], ENTRY),
        "ImageMirrorDigestSet" => (&["imageDigestMirrors", "mirrors"], NODE_ENTRY),
        _ => return Vec::new(),
    };
    let Some(spec) = object.get("spec") else { return Vec::new() };
    let mut unknown = beyond(spec, lists, "spec");
    for list in lists {
        let entries = spec.get(list).and_then(Value::as_array).into_iter().flatten();
        unknown.extend(
            entries.enumerate().flat_map(|(index, value)| beyond(value, entry, &format!("spec.{list}[{index}]"))),
        );
    }
    unknown
}

fn beyond(object: &Value, known: &[&str], path: &str) -> Vec<String> {
    let keys = object.as_object().into_iter().flat_map(|object| object.keys());
    keys.filter(|key| !known.contains(&key.as_str())).map(|key| format!("{path}.{key}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_fields_are_found_on_both_levels() {
        let object = json!({"spec": {"imageDigestMirror": [], "imageDigestMirrors": [
            {"source": "a.example", "mirror": ["b.example"]}, {"source": "c.example", "mirrors": []}]}});
        assert_eq!(
            unknown("ImageDigestMirrorSet", &object),
            ["spec.imageDigestMirror", "spec.imageDigestMirrors[0].mirror"]
        );
        assert!(unknown("HostedCluster", &object).is_empty());
    }
}
