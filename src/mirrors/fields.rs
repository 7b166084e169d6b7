//! Unknown fields of mirror sets. An API server rejects or drops them, and the decoder ignores them silently.

use serde_json::Value;

use super::Origin;
use super::finding::{Finding, FindingReason, Severity};

const TOP: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const ENTRY: &[&str] = &["source", "mirrors", "mirrorSourcePolicy"];
const PLAIN_ENTRY: &[&str] = &["source", "mirrors"];
const NODE_ENTRY: &[&str] = &["source", "mirrors", "mirrorSourcePolicy", "insecureSkipTLSVerify"];
/// Fields of `metadata` that are at the top level if an indentation was lost.
const METADATA: &[&str] = &["name", "namespace", "labels", "annotations"];

/// Misplaced fields that a message names. One lost indentation moves all fields of its block, and a few show which one.
const MISPLACED: usize = 5;

/// A field that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Its path.
    pub path: String,
    /// What is wrong with it and how to fix it. The path is the subject of the sentence.
    pub message: String,
    /// The index of its entry.
    index: usize,
}

/// The lists of a kind, whether its other fields are known as well, and the fields of one entry.
fn shape(kind: &str) -> Option<(&'static [&'static str], bool, &'static [&'static str])> {
    match kind {
        "ImageContentSourcePolicy" => Some((&["repositoryDigestMirrors"], true, PLAIN_ENTRY)),
        "ImageDigestMirrorSet" => Some((&["imageDigestMirrors"], true, ENTRY)),
        "ImageTagMirrorSet" => Some((&["imageTagMirrors"], true, ENTRY)),
        "ImageMirrorDigestSet" => Some((&["imageDigestMirrors", "mirrors"], true, NODE_ENTRY)),
        "HostedCluster" => Some((&["imageContentSources"], false, PLAIN_ENTRY)),
        _ => None,
    }
}

/// The fields of an object that its kind does not have. Empty for kinds that declare no mirrors. In a HostedCluster only
/// the entries are checked.
pub fn unknown(kind: &str, object: &Value) -> Vec<UnknownField> {
    let Some((lists, is_whole, entry)) = shape(kind) else { return Vec::new() };
    let mut found = Vec::new();
    if is_whole {
        for key in keys(object).filter(|key| !TOP.contains(key)) {
            let message = match home(key, lists) {
                Some(parent) => format!("is at the top level and is ignored; indent it below {parent}"),
                None => misspelt(kind, key, TOP),
            };
            found.push(UnknownField { path: key.to_owned(), message, index: 0 });
        }
    }
    let Some(spec) = object.get("spec") else { return found };
    if is_whole {
        for key in keys(spec).filter(|key| !lists.contains(key)) {
            let message = if entry.contains(&key) {
                format!("is ignored here; indent it below its entry of spec.{}", lists[0])
            } else {
                misspelt(kind, key, lists)
            };
            found.push(UnknownField { path: format!("spec.{key}"), message, index: 0 });
        }
    }
    for list in lists {
        if let Some(entries) = spec.get(list) {
            found.extend(unknown_in_list(kind, entries, entry, &format!("spec.{list}")));
        }
    }
    found
}

/// The fields of the entries of the list at `path` that are not in `known`.
pub fn unknown_in_list(kind: &str, entries: &Value, known: &[&str], path: &str) -> Vec<UnknownField> {
    let entries = entries.as_array().into_iter().flatten().enumerate();
    let unknown = entries.flat_map(|(index, entry)| {
        keys(entry).filter(|key| !known.contains(key)).map(move |key| UnknownField {
            path: format!("{path}[{index}].{key}"),
            message: misspelt(kind, key, known),
            index,
        })
    });
    unknown.collect()
}

fn keys(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
}

/// Where a field at the top level belongs.
fn home(key: &str, lists: &[&str]) -> Option<&'static str> {
    if METADATA.contains(&key) {
        Some("metadata")
    } else if lists.contains(&key) {
        Some("spec")
    } else if NODE_ENTRY.contains(&key) {
        Some("its entry")
    } else {
        None
    }
}

fn misspelt(kind: &str, key: &str, known: &[&str]) -> String {
    let key = key.to_ascii_lowercase();
    let is_longer = |name: &&&str| key.len() > 3 && name.to_ascii_lowercase().contains(&key);
    let is_shorter = |name: &&&str| key.contains(&name.to_ascii_lowercase());
    match known.iter().find(is_longer).or_else(|| known.iter().find(is_shorter)) {
        Some(name) => format!("is not a field of {kind} and is ignored; did you mean {name}?"),
        None => format!("is not a field of {kind} and is ignored; correct its spelling or remove it"),
    }
}

/// The unknown fields of an object at `place`, whose index is not read, as findings. `file` is its place, if it is in a file.
pub fn findings(kind: &str, object: &Value, place: &Origin, file: Option<&str>) -> Vec<Finding> {
    as_findings(unknown(kind, object), place, file)
}

/// Unknown fields as findings.
pub fn as_findings(unknown: Vec<UnknownField>, place: &Origin, file: Option<&str>) -> Vec<Finding> {
    let file = file.map(|file| format!(" ({file})")).unwrap_or_default();
    let finding = |field: UnknownField| Finding {
        severity: Severity::Warning,
        reason: FindingReason::UnknownField,
        origin: Origin { index: field.index, ..place.clone() },
        value: String::new(),
        message: field.message + &file,
        field: field.path,
    };
    unknown.into_iter().map(finding).collect()
}

/// The fields that are at the wrong place because their indentation was lost: the probable cause when a field is missing.
pub fn misplaced(kind: &str, object: &Value) -> Option<String> {
    let fields = unknown(kind, object).into_iter().filter(|field| field.message.contains("indent it below"));
    let misplaced: Vec<String> =
        fields.take(MISPLACED).map(|field| format!("{} {}", field.path, field.message)).collect();
    (!misplaced.is_empty()).then(|| misplaced.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(kind: &str, object: &Value) -> Vec<String> {
        unknown(kind, object).into_iter().map(|field| field.path).collect()
    }

    #[test]
    fn misspelt_fields_are_found_on_both_levels() {
        let object = json!({"spec": {"imageDigestMirror": [], "imageDigestMirrors": [
            {"source": "a.example", "mirror": ["b.example"]}, {"source": "c.example", "mirrors": []}]}});
        assert_eq!(
            paths("ImageDigestMirrorSet", &object),
            ["spec.imageDigestMirror", "spec.imageDigestMirrors[0].mirror"]
        );
        let object =
            json!({"spec": {"platform": {}, "imageContentSources": [{"source": "a", "mirrorSourcePolicy": "x"}]}});
        assert_eq!(paths("HostedCluster", &object), ["spec.imageContentSources[0].mirrorSourcePolicy"]);
        assert!(unknown("Service", &object).is_empty());
    }

    #[test]
    fn the_message_suggests_the_most_similar_field() {
        let entry = json!({"source": "a", "sourcePolicy": "x", "mirror": [], "color": "red"});
        let found = unknown("ImageTagMirrorSet", &json!({"spec": {"imageTagMirrors": [entry]}}));
        let messages: Vec<&str> = found.iter().map(|field| field.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "is not a field of ImageTagMirrorSet and is ignored; correct its spelling or remove it",
                "is not a field of ImageTagMirrorSet and is ignored; did you mean mirrors?",
                "is not a field of ImageTagMirrorSet and is ignored; did you mean mirrorSourcePolicy?",
            ]
        );
    }

    #[test]
    fn the_message_for_a_lost_indentation_names_the_place_of_the_field() {
        let misplaced = |object: &Value| misplaced("ImageDigestMirrorSet", object).unwrap_or_default();
        let top = json!({"metadata": null, "name": "a", "spec": {}});
        assert_eq!(misplaced(&top), "name is at the top level and is ignored; indent it below metadata");
        let spec = json!({"spec": null, "imageDigestMirrors": []});
        assert_eq!(misplaced(&spec), "imageDigestMirrors is at the top level and is ignored; indent it below spec");
        let entry = json!({"spec": {"imageDigestMirrors": [{"source": "a"}], "mirrors": ["b"]}});
        let expected = "spec.mirrors is ignored here; indent it below its entry of spec.imageDigestMirrors";
        assert_eq!(misplaced(&entry), expected);
        assert_eq!(misplaced(&json!({"spec": {"imageDigestMirrors": []}})), "");
    }
}
