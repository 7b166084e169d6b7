//! `index.json`: which images a layout has. What other tools write into it stays as it is. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::wire::digest::Digest;
use super::super::wire::media_type::OCI_INDEX;

/// The largest `index.json` that is read: 100,000 images have some 40 MiB.
pub const MAX_INDEX_BYTES: usize = 64 * 1024 * 1024;
const MAX_IMAGES: usize = 200_000;
/// The annotation with the name of an image, of the image specification.
const NAME: &str = "org.opencontainers.image.ref.name";
/// Our annotation: the references that the image was bundled for, separated by commas.
const DESTINATIONS: &str = "dev.hypermirror.image.destinations";

/// Why a text is no index of a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is no JSON of that shape.
    #[error("index.json does not parse: {0}")]
    Json(String),
    /// An entry cannot be used.
    #[error("entry {place} of index.json: {message}")]
    Entry {
        /// From 0.
        place: usize,
        /// What is wrong.
        message: String,
    },
    /// Nobody can say which image is meant.
    #[error("index.json has {0:?} for two different images")]
    Ambiguous(String),
    /// More images than anybody bundles.
    #[error("index.json has more than {MAX_IMAGES} images")]
    TooMany,
}

/// An image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of its manifest.
    pub media_type: String,
    /// Of its manifest.
    pub digest: Digest,
    /// Of its manifest.
    pub size: u64,
    /// Of an artifact.
    pub artifact_type: Option<String>,
    /// Its name: `quay.io/org/app:v1` in bundles, `v1` as skopeo users name single images.
    pub name: Option<String>,
    /// What it was bundled for.
    pub destinations: BTreeSet<String>,
    raw: Value,
}

impl Entry {
    /// A manifest without a name.
    pub fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        let raw = json!({"mediaType": media_type, "digest": digest.to_string(), "size": size});
        let (media_type, digest) = (media_type.to_owned(), digest.clone());
        Self { media_type, digest, size, artifact_type: None, name: None, destinations: BTreeSet::new(), raw }
    }

    /// The same under a name.
    #[must_use]
    pub fn named(self, name: &str, destinations: &BTreeSet<String>) -> Self {
        let entry = Self { name: Some(name.to_owned()), destinations: destinations.clone(), ..self };
        entry.written()
    }

    /// The same as an artifact of a type.
    #[must_use]
    pub fn of_type(mut self, artifact_type: Option<&str>) -> Self {
        if let Some(artifact_type) = artifact_type {
            self.artifact_type = Some(artifact_type.to_owned());
            self.raw["artifactType"] = artifact_type.into();
        }
        self
    }

    fn written(mut self) -> Self {
        if let Some(name) = &self.name {
            self.raw["annotations"][NAME] = name.as_str().into();
        }
        if !self.destinations.is_empty() {
            let all: Vec<&str> = self.destinations.iter().map(String::as_str).collect();
            self.raw["annotations"][DESTINATIONS] = all.join(",").into();
        }
        self
    }

    fn parse(raw: Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let digest = text(&raw["digest"]).ok_or("it has no digest")?;
        let digest = Digest::parse(&digest).map_err(|error| error.to_string())?;
        let annotation = |name: &str| text(raw.get("annotations")?.get(name)?);
        let destinations = annotation(DESTINATIONS).unwrap_or_default();
        Ok(Self {
            media_type: text(&raw["mediaType"]).unwrap_or_default(),
            digest,
            size: raw["size"].as_u64().ok_or("it has no size")?,
            artifact_type: text(&raw["artifactType"]),
            name: annotation(NAME),
            destinations: destinations.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            raw,
        })
    }
}

/// The images of a layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    others: Map<String, Value>,
    entries: Vec<Entry>,
}

impl Index {
    /// Reads it.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let mut others: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| IndexError::Json(error.to_string()))?;
        let entries = match others.remove("manifests") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(IndexError::Json("\"manifests\" is no list".to_owned())),
        };
        if entries.len() > MAX_IMAGES {
            return Err(IndexError::TooMany);
        }
        let read = |(place, raw)| Entry::parse(raw).map_err(|message| IndexError::Entry { place, message });
        Ok(Self { others, entries: entries.into_iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    /// All of them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The image of a name.
    ///
    /// # Errors
    /// [`IndexError::Ambiguous`]: readers of such a layout disagree about the image.
    pub fn find(&self, name: &str) -> Result<Option<&Entry>, IndexError> {
        let mut named = self.entries.iter().filter(|entry| entry.name.as_deref() == Some(name));
        let first = named.next();
        match first {
            Some(first) if named.any(|other| other.digest != first.digest) => {
                Err(IndexError::Ambiguous(name.to_owned()))
            }
            found => Ok(found),
        }
    }

    /// Adds an entry, or replaces that of the same name; whether anything changed. Without a name it is added only if nothing
    /// else of that digest is there.
    pub fn put(&mut self, mut entry: Entry) -> bool {
        let Some(name) = entry.name.clone() else {
            let is_new = self.entries.iter().all(|other| other.digest != entry.digest);
            if is_new {
                self.entries.push(entry);
            }
            return is_new;
        };
        if let Ok(Some(held)) = self.find(&name)
            && held.digest == entry.digest
        {
            if entry.destinations.is_subset(&held.destinations) {
                return false;
            }
            entry.destinations.extend(held.destinations.iter().cloned());
            entry = entry.written();
        }
        self.entries.retain(|other| other.name.as_deref() != Some(&*name));
        self.entries.push(entry);
        true
    }

    /// Its bytes: the same images give the same bytes, in whatever order they came.
    pub fn print(&self) -> Vec<u8> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| (&a.name, &a.digest).cmp(&(&b.name, &b.digest)));
        let mut all = self.others.clone();
        all.entry("schemaVersion").or_insert_with(|| 2.into());
        all.entry("mediaType").or_insert_with(|| OCI_INDEX.into());
        all.insert("manifests".to_owned(), entries.into_iter().map(|entry| entry.raw.clone()).collect());
        Value::Object(all).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::wire::digest::Algorithm;
    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn entry(content: &str) -> Entry {
        Entry::new(IMAGE, &Digest::of(Algorithm::Sha256, content.as_bytes()), content.len() as u64)
    }

    #[test]
    fn what_is_printed_is_read_back_whatever_the_order() {
        let destinations = BTreeSet::from(["m.example/a:1".to_owned(), "n.example/a:1".to_owned()]);
        let all = [
            entry("a").named("quay.io/a:1", &destinations),
            entry("b").named("quay.io/b:1", &BTreeSet::new()),
            entry("signature").of_type(Some("application/x")),
        ];
        let (mut one, mut other) = (Index::default(), Index::default());
        for (entry, last) in all.iter().zip(all.iter().rev()) {
            assert!(one.put(entry.clone()) && other.put(last.clone()));
        }
        assert_eq!(one.print(), other.print());
        let read = Index::parse(&one.print()).unwrap();
        assert_eq!(read.print(), one.print());
        assert_eq!(read.find("quay.io/a:1").unwrap().unwrap().destinations, destinations);
        assert_eq!(read.entries()[0].artifact_type.as_deref(), Some("application/x"));
    }

    #[test]
    fn a_name_names_one_image_and_what_others_wrote_stays() {
        let text = json!({"schemaVersion": 2, "annotations": {"x": "y"}, "manifests": [
            {"mediaType": IMAGE, "digest": entry("a").digest.to_string(), "size": 1, "annotations": {NAME: "v1", "k": "v"},
             "platform": {"os": "linux", "architecture": "arm64"}}]});
        let mut index = Index::parse(text.to_string().as_bytes()).unwrap();
        assert!(!index.put(entry("a").named("v1", &BTreeSet::new())), "it is there");
        assert!(!index.put(entry("a")), "it is there under a name");
        assert!(index.put(entry("b").named("v2", &BTreeSet::new())));
        let printed: Value = serde_json::from_slice(&index.print()).unwrap();
        assert_eq!((&printed["annotations"], &printed["manifests"][0]), (&text["annotations"], &text["manifests"][0]));
        assert!(index.put(entry("c").named("v1", &BTreeSet::new())));
        assert_eq!(index.find("v1").unwrap().unwrap().digest, entry("c").digest);
        assert_eq!((index.entries().len(), index.find("v3")), (2, Ok(None)));
        let more = BTreeSet::from(["m.example/a".to_owned()]);
        assert!(index.put(entry("c").named("v1", &more)) && !index.put(entry("c").named("v1", &BTreeSet::new())));
        assert_eq!(index.find("v1").unwrap().unwrap().destinations, more);
    }

    #[test]
    fn hostile_indexes_are_refused() {
        let digest = entry("a").digest.to_string();
        let named = |content: &str| json!({"digest": entry(content).digest.to_string(), "size": 1, "annotations": {NAME: "v1"}});
        let twice = json!({"manifests": [named("a"), named("b")]}).to_string();
        assert_eq!(Index::parse(twice.as_bytes()).unwrap().find("v1"), Err(IndexError::Ambiguous("v1".to_owned())));
        let same = json!({"manifests": [named("a"), named("a")]}).to_string();
        assert!(Index::parse(same.as_bytes()).unwrap().find("v1").unwrap().is_some());
        for entry in [
            json!({}),
            json!("x"),
            json!({"digest": digest}),
            json!({"digest": digest, "size": -1}),
            json!({"digest": "sha256:../../etc/passwd", "size": 1}),
        ] {
            let text = json!({"manifests": [entry]}).to_string();
            assert!(matches!(Index::parse(text.as_bytes()), Err(IndexError::Entry { place: 0, .. })), "{text}");
        }
        for text in ["", "[]", "{\"manifests\": {}}", "{"] {
            assert!(matches!(Index::parse(text.as_bytes()), Err(IndexError::Json(_))), "{text}");
        }
        let many = format!("{{\"manifests\": [0{}]}}", ",0".repeat(MAX_IMAGES));
        assert_eq!(Index::parse(many.as_bytes()), Err(IndexError::TooMany));
    }
}
