//! Reports skipped documents. A file or directory with nothing but skipped documents is an error.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::super::console;
use crate::documents::{Document, Place};
use crate::hosted::{mirror_config, pool_config};

const READ: &str = "a HostedCluster, NodePool, HostedControlPlane, ImageDigestMirrorSet, ImageTagMirrorSet, \
                    ImageContentSourcePolicy, ImageMirrorDigestSet, Deployment, HostedClusterMirrors or MirrorCoverage, a ConfigMap with \
                    one of the keys idms.yaml, itms.yaml and config, a list of image content sources or an \
                    install-config.yaml";
/// The key under which the assisted service and others store a node's file.
const REGISTRIES_CONF: &str = "registries.conf";
/// Keys of a ConfigMap, and reasons, that a message has. More would hide the start of the message.
const SHOWN: usize = 5;

/// The skipped documents.
#[derive(Default)]
pub struct Unread {
    skipped: BTreeMap<String, usize>,
    named: Vec<NamedInput>,
}

/// The argument of one `-f`.
struct NamedInput {
    name: String,
    has_something: bool,
    /// Why its documents are skipped.
    reasons: Vec<String>,
    config_maps: Vec<ConfigMapKeys>,
}

struct ConfigMapKeys {
    place: Place,
    namespace: String,
    name: String,
    keys: Vec<String>,
}

impl ConfigMapKeys {
    fn of(document: &Document) -> Self {
        let text = |pointer: &str| document.text_at(pointer).unwrap_or_default().to_owned();
        let data = document.value.get("data").and_then(Value::as_object);
        Self {
            place: document.place.clone(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            keys: data.into_iter().flat_map(|data| data.keys().cloned()).collect(),
        }
    }

    fn is_for_us(&self) -> bool {
        let known = mirror_config::KEY_NAMES.iter().chain([&pool_config::KEY]);
        known.into_iter().any(|known| self.keys.iter().any(|key| key == known))
    }

    /// Why it is skipped, and how to use it.
    fn reason(&self) -> String {
        let place = &self.place;
        let keys = match self.keys.as_slice() {
            [] => "has no keys".to_owned(),
            keys => {
                let more = keys.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let shown = keys.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                format!("has the keys {shown}{more}")
            }
        };
        let way = if self.keys.iter().any(|key| key == REGISTRIES_CONF) {
            "; to use its key registries.conf, save it as a file and run explain --registries-conf FILE"
        } else {
            ""
        };
        format!(
            "{place}: ConfigMap {} {keys}; only idms.yaml and itms.yaml (for a HostedCluster) and config (for a NodePool) are read{way}",
            self.name
        )
    }
}

impl Unread {
    /// Starts the documents of one file or directory.
    pub fn begin(&mut self, name: &str) {
        let (name, reasons, config_maps) = (name.to_owned(), Vec::new(), Vec::new());
        self.named.push(NamedInput { name, has_something: false, reasons, config_maps });
    }

    /// Records that the current file or directory has a document that is read.
    pub fn found(&mut self) {
        if let Some(named) = self.named.last_mut() {
            named.has_something = true;
        }
    }

    /// Records a skipped document.
    pub fn skip(&mut self, document: &Document) {
        let kind = document.text_at("/kind");
        *self.skipped.entry(kind.unwrap_or("no kind").to_owned()).or_default() += 1;
        let reason = match kind {
            Some("Template") => format!(
                "{}: kind Template is not supported; process it first: oc process -f FILE | hypermirror … -f -",
                document.place
            ),
            Some(kind) => format!("{}: kind {kind} is skipped", document.place),
            None => format!("{}: not a Kubernetes object: it has no kind", document.place),
        };
        if let Some(named) = self.named.last_mut() {
            named.reasons.push(reason);
        }
    }

    /// Records a ConfigMap, which may be referenced by an object that follows.
    pub fn config_map(&mut self, document: &Document) {
        if let Some(named) = self.named.last_mut() {
            named.config_maps.push(ConfigMapKeys::of(document));
        }
    }

    /// Skips the ConfigMaps that are not referenced and have no supported key.
    pub fn refer(&mut self, references: &BTreeSet<(String, String)>) {
        for named in &mut self.named {
            for config_map in std::mem::take(&mut named.config_maps) {
                let is_referred = references.contains(&(config_map.namespace.clone(), config_map.name.clone()));
                if is_referred || config_map.is_for_us() {
                    named.has_something = true;
                } else {
                    *self.skipped.entry("ConfigMap".to_owned()).or_default() += 1;
                    named.reasons.push(config_map.reason());
                }
            }
        }
    }

    /// Returns an error if a file or directory has no supported object.
    pub fn judge(&self) -> Result<()> {
        let Some(named) = self.named.iter().find(|named| !named.has_something) else { return Ok(()) };
        let head = format!("{} has no supported object ({READ}); check the path", named.name);
        let more = named.reasons.len().saturating_sub(SHOWN);
        let more = (more > 0).then(|| format!("and {more} more"));
        let reasons = named.reasons.iter().take(SHOWN).cloned();
        bail!("{}", [head].into_iter().chain(reasons).chain(more).collect::<Vec<_>>().join("\n"))
    }

    /// Reports the number of skipped documents.
    pub fn report(&self) {
        let count: usize = self.skipped.values().sum();
        if count == 0 {
            return;
        }
        let mut kinds: Vec<_> = self.skipped.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        let documents = if count == 1 { "document" } else { "documents" };
        console::note(format!("skipped {count} {documents} of other kinds: {}", kinds.join(", ")));
    }
}
