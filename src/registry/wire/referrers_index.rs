//! The index that lists referrers under a tag, for registries without the API (distribution specification, *Referrers Tag
//! Schema*).

use serde_json::{Map, Value, json};

use super::manifest::{Manifest, ManifestError};
use super::media_type::OCI_INDEX;

/// The entry of a manifest in such an index: `bytes` are those of the manifest.
///
/// # Errors
/// They are none.
pub fn entry(digest: &str, media_type: &str, bytes: &[u8]) -> Result<Value, ManifestError> {
    let manifest: Value = serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
    let mut entry = Map::new();
    entry.insert("mediaType".to_owned(), media_type.into());
    entry.insert("digest".to_owned(), digest.into());
    entry.insert("size".to_owned(), bytes.len().into());
    // An image without a type of its own has that of its configuration.
    let mut kind = [&manifest["artifactType"], &manifest["config"]["mediaType"]].into_iter().filter_map(Value::as_str);
    if let Some(kind) = kind.find(|kind| !kind.is_empty()) {
        entry.insert("artifactType".to_owned(), kind.into());
    }
    if manifest["annotations"].as_object().is_some_and(|all| !all.is_empty()) {
        entry.insert("annotations".to_owned(), manifest["annotations"].clone());
    }
    Ok(Value::Object(entry))
}

/// An index with these entries besides those that it has; nothing if it has them all. What others wrote is kept as it is.
///
/// # Errors
/// What is there is no index: it is not overwritten.
pub fn merged(existing: Option<&[u8]>, entries: &[Value]) -> Result<Option<Vec<u8>>, ManifestError> {
    let empty = || json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    let mut index = match existing {
        None => empty(),
        Some(bytes) => {
            let manifest = Manifest::parse(bytes, None)?;
            if !manifest.kind.is_index() {
                return Err(ManifestError::Contradiction("an index of referrers", manifest.kind.name()));
            }
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?
        }
    };
    let Some(listed) = index["manifests"].as_array_mut() else {
        return Err(ManifestError::Json("its manifests are no list".to_owned()));
    };
    let before = listed.len();
    for entry in entries {
        if !listed.iter().any(|known| known["digest"] == entry["digest"]) {
            listed.push(entry.clone());
        }
    }
    if listed.len() == before {
        return Ok(None);
    }
    serde_json::to_vec(&index).map(Some).map_err(|error| ManifestError::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(index: &[u8]) -> Vec<String> {
        let value: Value = serde_json::from_slice(index).unwrap();
        value["manifests"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap().to_owned()).collect()
    }

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    #[test]
    fn b23_entries_are_added_once_and_those_of_others_stay_as_they_are() {
        let bytes = br#"{"schemaVersion":2,"artifactType":"text/spdx+json","annotations":{"a":"b"},"layers":[]}"#;
        let one = entry(&digest("1"), "application/vnd.oci.image.manifest.v1+json", bytes).unwrap();
        assert_eq!(
            one,
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest("1"), "size": bytes.len(),
                "artifactType": "text/spdx+json", "annotations": {"a": "b"},
            })
        );
        let first = merged(None, std::slice::from_ref(&one)).unwrap().unwrap();
        assert_eq!(digests(&first), [digest("1")]);
        assert_eq!(merged(Some(&first), std::slice::from_ref(&one)), Ok(None));
        let foreign = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","x":1,"manifests":[{{"digest":"{}","size":1,"y":2}}]}}"#,
            digest("2")
        );
        let both = merged(Some(foreign.as_bytes()), &[one]).unwrap().unwrap();
        assert_eq!(digests(&both), [digest("2"), digest("1")]);
        let value: Value = serde_json::from_slice(&both).unwrap();
        assert_eq!((&value["x"], &value["manifests"][0]["y"]), (&json!(1), &json!(2)));
    }

    #[test]
    fn b23_what_is_no_index_is_not_overwritten() {
        let entries = [entry(&digest("1"), "m", br#"{"config":{"mediaType":"text/x"}}"#).unwrap()];
        assert_eq!(entries[0]["artifactType"], "text/x");
        for wrong in ["", "[]", "{}", r#"{"schemaVersion":2,"layers":[]}"#] {
            assert!(merged(Some(wrong.as_bytes()), &entries).is_err(), "{wrong}");
        }
    }
}
