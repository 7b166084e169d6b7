//! Reads the entries of a document that declares mirrors: an IDMS, ITMS or ICSP.

use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entry::{MirrorSpec, of_document};
use super::finding::Finding;
use super::{MirrorEntry, Origin, fields};
use crate::documents::{Document, DocumentError};

/// A kind of document that declares mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorDocument {
    /// `ImageDigestMirrorSet`, `config.openshift.io/v1`.
    Idms,
    /// `ImageTagMirrorSet`, `config.openshift.io/v1`.
    Itms,
    /// `ImageContentSourcePolicy`, `operator.openshift.io/v1alpha1`.
    Icsp,
}

/// The content of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedDocument {
    /// Its entries, not yet validated.
    pub entries: Vec<MirrorEntry>,
    /// Warnings about unknown fields.
    pub findings: Vec<Finding>,
}

impl MirrorDocument {
    const ALL: [Self; 3] = [Self::Idms, Self::Itms, Self::Icsp];

    /// The kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Idms => "ImageDigestMirrorSet",
            Self::Itms => "ImageTagMirrorSet",
            Self::Icsp => "ImageContentSourcePolicy",
        }
    }

    /// The supported `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Idms | Self::Itms => "config.openshift.io/v1",
            Self::Icsp => "operator.openshift.io/v1alpha1",
        }
    }

    /// The document's kind, independent of its `apiVersion`.
    pub fn of(document: &Document) -> Option<Self> {
        let kind = document.text_at("/kind")?;
        Self::ALL.into_iter().find(|known| known.kind() == kind)
    }

    /// Reads a document of this kind at `place`. The index of `place` is ignored.
    ///
    /// # Errors
    /// [`DocumentError::Field`], also for an unsupported `apiVersion`.
    pub fn read(self, document: &Document, place: &Origin) -> Result<ParsedDocument, DocumentError> {
        let api_version = document.text_at("/apiVersion").unwrap_or_default();
        if api_version != self.api_version() {
            return Err(DocumentError::Field {
                field: "apiVersion".to_owned(),
                message: format!("{api_version:?} is not {}, which {} has", self.api_version(), self.kind()),
                line: None,
            });
        }
        let entries = match self {
            Self::Idms => entries(document, place, |set: &ImageDigestMirrorSet| &set.spec),
            Self::Itms => entries(document, place, |set: &ImageTagMirrorSet| &set.spec),
            Self::Icsp => entries(document, place, |set: &ImageContentSourcePolicy| &set.spec),
        };
        Ok(ParsedDocument { entries: entries?, findings: fields::findings(self.kind(), &document.value, place, None) })
    }
}

fn entries<K: DeserializeOwned, S: MirrorSpec>(
    document: &Document,
    place: &Origin,
    spec: impl Fn(&K) -> &S,
) -> Result<Vec<MirrorEntry>, DocumentError> {
    // The name of the manifest is ignored, so it can be missing.
    let mut document = document.clone();
    if let Value::Object(object) = &mut document.value {
        for part in ["metadata", "spec"] {
            if object.get(part).is_none_or(Value::is_null) {
                object.insert(part.to_owned(), Value::Object(serde_json::Map::new()));
            }
        }
    }
    Ok(of_document(spec(&document.decode::<K>()?), place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;
    use crate::mirrors::{Layer, PullBy};

    fn place() -> Origin {
        Origin {
            kind: "ConfigMap".into(),
            namespace: Some("clusters".into()),
            name: "mirrors".into(),
            key: Some("idms.yaml".into()),
            document: Some(0),
            index: 0,
            layer: Layer::HostedCluster,
        }
    }

    fn read(text: &str) -> Result<ParsedDocument, DocumentError> {
        let document = documents::read("t", text).unwrap().remove(0);
        MirrorDocument::of(&document).unwrap().read(&document, &place())
    }

    #[test]
    fn a_document_is_its_entries_with_their_place() {
        let text = "apiVersion: config.openshift.io/v1\nkind: ImageTagMirrorSet\nspec:\n  imageTagMirrors:\n  - source: a\n    mirrors: [b]\n  - {source: c, mirror: [d]}\n";
        let declared = read(text).unwrap();
        assert_eq!(declared.entries.len(), 2);
        assert_eq!(declared.entries[1].pull_by, PullBy::Tag);
        assert_eq!(declared.entries[1].origin.to_string(), "ConfigMap/clusters/mirrors[idms.yaml#0][1]");
        assert_eq!(declared.findings.len(), 1);
        assert_eq!(declared.findings[0].field, "spec.imageTagMirrors[1].mirror");
        assert_eq!(declared.findings[0].origin.index, 1);
    }

    #[test]
    fn another_version_and_another_type_are_errors_that_name_the_field() {
        let error = read("apiVersion: config.openshift.io/v1alpha1\nkind: ImageDigestMirrorSet\n").unwrap_err();
        assert!(error.to_string().starts_with("apiVersion: \"config.openshift.io/v1alpha1\" is not"), "{error}");
        let text =
            "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors: {a: b}\n";
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with("spec.imageDigestMirrors: invalid type") && error.ends_with("(line 4)"), "{error}");
    }
}
