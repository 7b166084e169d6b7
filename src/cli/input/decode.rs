//! Decodes documents. Errors name the document, the object and how to fix it.

use anyhow::{Result, anyhow, bail};
use serde::de::DeserializeOwned;

use crate::documents::{Document, Place};
use crate::mirrors::fields;

/// An error if the object has no namespace.
pub(super) fn require_namespace(document: &Document) -> Result<()> {
    if document.text_at("/metadata/namespace").is_none_or(str::is_empty) {
        bail!(
            "{}: {} has no metadata.namespace, which is required to find its hosted cluster; add it",
            document.place,
            object_name(document)
        );
    }
    Ok(())
}

/// The error for an object that occurs in the input twice.
pub(super) fn is_there_twice(document: &Document, first: &Place) -> anyhow::Error {
    anyhow!("{}: {} is already in the input ({first}); remove one of them", document.place, object_name(document))
}

/// Decodes an object. The error has the position and how to fix it.
pub(super) fn decode<T: DeserializeOwned>(document: &Document) -> Result<T> {
    let decoded = document.decode();
    decoded.map_err(|error| {
        let kind = document.text_at("/kind").unwrap_or_default();
        let fix = fields::misplaced(kind, &document.value);
        let fix = fix.unwrap_or_else(|| "correct the field or remove the document".to_owned());
        anyhow!("{}: {}: {error}; {fix}", document.place, object_name(document))
    })
}

/// `Kind [namespace/]name`.
pub(super) fn object_name(document: &Document) -> String {
    let kind = document.text_at("/kind").unwrap_or_default();
    let name = document.text_at("/metadata/name").unwrap_or("without a name");
    match document.text_at("/metadata/namespace").filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
