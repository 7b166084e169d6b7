//! `imageMirrorConfigRef`: the ConfigMap that a HostedCluster references, and its mirrors.
//!
//! The keys are those of the field's only definition (HyperShift pull request 7566, `ParseImageMirrorConfigMap`). Problems that
//! it ignores, such as another kind or a misspelt field, are reported here.

use std::collections::BTreeMap;
use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::ReferencePlace;
use hypermirror_api::{HostedClusterMirrorsStatus, Reason, annotations};
use kube::ResourceExt as _;

use super::condition_state::{SourceTrouble, cut};
use super::limits::{FINDINGS_OF_MAP, PROBLEMS, Weight};
use crate::documents::{self, Document};
use crate::mirrors::entry::weight;
use crate::mirrors::finding::{Finding, FindingReason, Severity};
use crate::mirrors::manifest::MirrorDocument;
use crate::mirrors::validate::{Consumer, contributes};
use crate::mirrors::{Layer, MirrorEntry, Origin};

/// The supported keys with their kinds. Digest mirrors can also be in an ICSP.
const KEYS: [(&str, &[MirrorDocument]); 2] =
    [("idms.yaml", &[MirrorDocument::Idms, MirrorDocument::Icsp]), ("itms.yaml", &[MirrorDocument::Itms])];

/// The names of the supported keys.
pub const KEY_NAMES: [&str; 2] = [KEYS[0].0, KEYS[1].0];

/// The path of the field.
pub const FIELD: &str = "spec.imageMirrorConfigRef";

/// A HostedCluster's reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorReference {
    /// The ConfigMap, in the HostedCluster's namespace.
    pub name: String,
    /// Where it is referenced.
    pub place: ReferencePlace,
}

/// The reference of a HostedCluster, and a problem with it.
///
/// `field_served` is whether the HostedCluster CRD has the field. `report` is the last report: if the CRD lost the field, the
/// reference in it stays in use, because its owner did not remove it.
pub fn reference(
    cluster: &HostedCluster,
    field_served: bool,
    report: Option<&HostedClusterMirrorsStatus>,
) -> (Option<MirrorReference>, Option<SourceTrouble>) {
    let field = cluster.spec.image_mirror_config_ref.as_ref().map(|reference| reference.name.as_str());
    let field = field.filter(|name| !name.is_empty());
    let annotation = cluster.annotations().get(annotations::IMAGE_MIRROR_CONFIG_REF).map(|name| name.trim());
    let of = |name: &str, place| Some(MirrorReference { name: name.to_owned(), place });
    if let (false, Some(name), None) = (field_served, field, annotation) {
        // The object was read before the CRD lost the field.
        let (reference, trouble) = kept(name);
        return (Some(reference), Some(trouble));
    }
    match (field, annotation) {
        (Some(field), Some(annotation)) if !annotation.is_empty() && field != annotation => {
            let key = annotations::IMAGE_MIRROR_CONFIG_REF;
            let message = format!(
                "{FIELD} references {field:?} and annotation {key} references {annotation:?}; the \
                                   field takes precedence"
            );
            (of(field, ReferencePlace::Field), Some(SourceTrouble { reason: Reason::ReferenceConflict, message }))
        }
        (Some(field), _) => (of(field, ReferencePlace::Field), None),
        (None, Some("")) => (None, None),
        (None, Some(annotation)) => (of(annotation, ReferencePlace::Annotation), None),
        (None, None) => match report.and_then(|report| pruned(cluster, field_served, report)) {
            Some((reference, trouble)) => (Some(reference), Some(trouble)),
            None => (None, None),
        },
    }
}

/// The reference that was pruned because the CRD lost the field.
///
/// A user who removes a reference changes the generation of the HostedCluster; pruning does not. The reference in the report
/// stays in use until the owner sets or removes it, even if the field is restored.
fn pruned(
    cluster: &HostedCluster,
    field_served: bool,
    report: &HostedClusterMirrorsStatus,
) -> Option<(MirrorReference, SourceTrouble)> {
    let last = report.mirror_config.as_ref()?;
    let is_same = cluster.metadata.generation == Some(report.hosted_cluster_generation);
    let is_pruned = match last.place {
        ReferencePlace::Pruned => true,
        ReferencePlace::Field => !field_served || is_same,
        ReferencePlace::Annotation => false,
    };
    is_pruned.then(|| kept(&last.name))
}

fn kept(name: &str) -> (MirrorReference, SourceTrouble) {
    let key = annotations::IMAGE_MIRROR_CONFIG_REF;
    let message = format!(
        "the HostedCluster CRD no longer has {FIELD}; the last reference, {name:?}, stays in use: set annotation \
         {key} to this name, or to \"\" to remove the reference; hypermirror crd hostedcluster-patch prints a patch \
         that restores the field"
    );
    let reference = MirrorReference { name: name.to_owned(), place: ReferencePlace::Pruned };
    (reference, SourceTrouble { reason: Reason::FieldPruned, message })
}

/// The mirrors in a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorConfig {
    /// The ConfigMap's name.
    pub name: String,
    /// Its entries, not validated yet: `idms.yaml` before `itms.yaml`, documents and elements in order.
    pub entries: Arc<[MirrorEntry]>,
    /// Whether it has entries that are valid for control planes.
    pub contributes: bool,
    /// Its weight for limits.
    pub weight: Weight,
    /// Findings about unknown fields and keys.
    pub findings: Vec<Finding>,
    /// Problems, because of which none of its entries is used.
    pub problems: Vec<SourceTrouble>,
}

/// Parses a ConfigMap. `data` is its text by key.
pub fn read(namespace: &str, name: &str, data: &BTreeMap<String, String>) -> MirrorConfig {
    let mut config = MirrorConfig { name: name.to_owned(), ..MirrorConfig::default() };
    let mut entries = Vec::new();
    let mut is_silent = true; // an empty list of mirrors is also a declaration
    let object = format!("ConfigMap {namespace}/{name}");
    for (key, kinds) in KEYS {
        let Some(text) = data.get(key) else { continue };
        let place = origin(namespace, name, key);
        match documents::read(&format!("{object}, key {key}"), text) {
            Ok(found) => {
                is_silent &= found.is_empty();
                for document in found {
                    config.read_document(&document, kinds, &place, &mut entries);
                }
            }
            Err(error) => config.trouble(Reason::ConfigMapInvalid, error.to_string()),
        }
    }
    for key in data.keys().filter(|key| KEYS.iter().all(|(known, _)| known != key)) {
        config.findings.push(unknown_key(&origin(namespace, name, key)));
    }
    config.findings.truncate(FINDINGS_OF_MAP);
    if config.problems.is_empty() && is_silent {
        let keys = KEYS.map(|(key, _)| key).join(" nor ");
        config.trouble(Reason::ConfigMapKeyMissing, format!("{object} has neither {keys} with a document in it"));
    }
    config.contributes = contributes(&entries, Consumer::ControlPlane);
    config.weight = Weight::of_config_map(weight(&entries), data.values().map(String::len).sum());
    config.entries = entries.into();
    config
}

impl MirrorConfig {
    fn trouble(&mut self, reason: Reason, message: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(SourceTrouble { reason, message: cut(message) });
        }
    }

    fn read_document(
        &mut self,
        document: &Document,
        kinds: &[MirrorDocument],
        place: &Origin,
        entries: &mut Vec<MirrorEntry>,
    ) {
        let kind = MirrorDocument::of(document).filter(|kind| kinds.contains(kind));
        let Some(kind) = kind else {
            let found = document.text_at("/kind").unwrap_or("nothing");
            let names: Vec<&str> = kinds.iter().map(|kind| kind.kind()).collect();
            let message = format!("{}: kind is {found}, but this key requires {}", document.place, names.join(" or "));
            self.trouble(Reason::ConfigMapInvalid, message);
            return;
        };
        // Messages count documents from 1, origins from 0.
        let place = Origin { document: Some(document.place.document - 1), ..place.clone() };
        match kind.read(document, &place) {
            Ok(declared) => {
                entries.extend(declared.entries);
                let room = FINDINGS_OF_MAP.saturating_sub(self.findings.len());
                self.findings.extend(declared.findings.into_iter().take(room));
            }
            Err(error) => self.trouble(Reason::ConfigMapInvalid, format!("{}: {error}", document.place)),
        }
    }
}

fn origin(namespace: &str, name: &str, key: &str) -> Origin {
    Origin {
        kind: "ConfigMap".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
        key: Some(key.to_owned()),
        document: Some(0),
        index: 0,
        layer: Layer::HostedCluster,
    }
}

fn unknown_key(place: &Origin) -> Finding {
    let key = place.key.clone().unwrap_or_default();
    Finding {
        severity: Severity::Warning,
        reason: FindingReason::UnknownField,
        origin: place.clone(),
        field: format!("data[{key}]"),
        value: String::new(),
        message: format!(
            "is not a supported key and is ignored; supported: {}",
            KEYS.map(|(key, _)| key).join(
                " and \
                                                                                                                "
            )
        ),
    }
}

#[cfg(test)]
mod tests;
