//! Lists of mirrors that are not in Kubernetes objects: the file for `hypershift create cluster --image-content-sources`, and
//! `install-config.yaml`.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::MirrorObject;
use crate::documents::Document;
use crate::mirrors::entry::{self, ListedSource};
use crate::mirrors::fields;
use crate::mirrors::finding::Finding;

/// A list of mirrors as a mirror object.
pub struct ListOfSources {
    /// The object, with the name of the file.
    pub object: MirrorObject,
    /// Findings about unknown fields.
    pub findings: Vec<Finding>,
}

/// A supported format: the kind for origins, the path of the list, and the fields of an entry.
struct Form {
    kind: &'static str,
    list: &'static str,
    fields: &'static [&'static str],
}

const BARE: Form = Form { kind: "ImageContentSources", list: entry::BARE_LIST, fields: &["source", "mirrors"] };
/// The current list of the installer, and the deprecated one.
const OF_INSTALL_CONFIG: [Form; 2] = [
    Form { kind: "InstallConfig", list: "imageDigestSources", fields: &["source", "mirrors", "sourcePolicy"] },
    Form { kind: "InstallConfig", list: "imageContentSources", fields: &["source", "mirrors"] },
];

/// The list in a document, or `None` if the document has none.
///
/// # Errors
/// An entry that cannot be decoded.
pub fn of(document: &Document) -> Result<Option<ListOfSources>> {
    if is_bare(&document.value) {
        return read(document, &[(&BARE, document.clone())]).map(Some);
    }
    if document.text_at("/kind").is_some_and(|kind| kind != "InstallConfig") {
        return Ok(None);
    }
    let lists = OF_INSTALL_CONFIG.iter().filter_map(|form| Some((form, document.field(form.list)?)));
    let lists: Vec<_> = lists.collect();
    if lists.is_empty() { Ok(None) } else { read(document, &lists).map(Some) }
}

fn is_bare(value: &Value) -> bool {
    let is_entry = |item: &Value| item.get("source").is_some() && item.get("mirrors").is_some();
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(is_entry))
}

fn read(document: &Document, lists: &[(&'static Form, Document)]) -> Result<ListOfSources> {
    let name = name_of(&document.place.file);
    let kind = lists.first().map_or(BARE.kind, |(form, _)| form.kind);
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    for (form, list) in lists {
        let sources: Option<Vec<ListedSource>> = list.decode().map_err(|error| {
            anyhow!("{}: {}{error}; correct the field or remove the document", document.place, form.list)
        })?;
        let found = entry::of_list(form.kind, &name, form.list, &sources.unwrap_or_default());
        let place = entry::place_in_list(form.kind, &name, 0);
        let file = document.place.to_string();
        let unknown = fields::unknown_in_list(form.kind, &list.value, form.fields, form.list);
        findings.extend(fields::as_findings(unknown, &place, Some(&file)));
        entries.extend(found);
    }
    let object =
        MirrorObject { kind, name, labels: std::collections::BTreeMap::new(), foreign_to_nodes: None, entries };
    Ok(ListOfSources { object, findings })
}

/// The name of a file as the name of an object.
fn name_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let letters = stem.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let name = letters.collect::<String>();
    let name = name.trim_matches('-');
    if name.is_empty() { "mirrors".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;
    use crate::mirrors::{MirrorEntry, PullBy};

    fn list(file: &str, text: &str) -> Option<ListOfSources> {
        of(&documents::read(file, text).unwrap()[0]).unwrap()
    }

    #[test]
    fn a_bare_list_is_named_after_its_file() {
        let text = "- source: quay.io/a\n  mirrors:\n  - m.example/a\n- source: quay.io/b\n  mirrors:\n  mirrorSourcePolicy: x\n";
        let list = list("dir/My ICS.yaml", text).unwrap();
        assert_eq!((list.object.kind, list.object.name.as_str()), ("ImageContentSources", "my-ics"));
        assert_eq!(list.object.entries.len(), 2);
        assert_eq!(list.object.entries[0].field(), "[0]");
        assert_eq!(list.findings[0].field, "[1].mirrorSourcePolicy");
        assert!(list.object.entries[1].mirrors.is_empty() && list.object.entries[1].pull_by == PullBy::Digest);
    }

    #[test]
    fn an_install_config_has_two_lists_and_a_policy() {
        let text = "apiVersion: v1\nbaseDomain: example.com\nimageContentSources:\n- {source: a.example, mirrors: [b.example]}\n\
                    imageDigestSources:\n- {source: c.example, mirrors: [d.example], sourcePolicy: NeverContactSource}\n";
        let list = list("install-config.yaml", text).unwrap();
        let fields: Vec<String> = list.object.entries.iter().map(MirrorEntry::field).collect();
        assert_eq!(fields, ["imageDigestSources[0]", "imageContentSources[0]"]);
        assert_eq!(list.object.entries[0].policy(), crate::mirrors::Policy::NeverContactSource);
        assert!(list.findings.is_empty());
        assert!(of(&documents::read("i", "imageDigestSources: null\n").unwrap()[0]).unwrap().is_some());
    }

    #[test]
    fn other_documents_are_none() {
        for text in ["- a\n- b\n", "[]", "replicas: 1\n", "kind: A\nimageContentSources: []\n", "- source: a\n"] {
            assert!(list("f", text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_named() {
        let document = &documents::read("f.yaml", "- source: a\n  mirrors: b\n").unwrap()[0];
        let error = of(document).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("f.yaml, document 1 (line 1): [0].mirrors: invalid type"), "{error}");
    }
}
