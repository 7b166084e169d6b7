//! The documents of one ConfigMap, validated with the rules of the machine-config-operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use hypermirror_api::Reason;
use serde_json::Value;

use super::node_files::{self, NodeFile};
use super::shape::{CLUSTER_IMAGE_POLICY, CONTAINER_RUNTIME_CONFIG, KUBELET_CONFIG, MACHINE_CONFIG, Shape, misfits};
use crate::documents::{self, Document};
use crate::hosted::condition_state::{SourceTrouble, cut};
use crate::hosted::limits::Weight;
use crate::hosted::limits::{FINDINGS_OF_MAP, PROBLEMS};
use crate::mirrors::entry::weight;
use crate::mirrors::finding::{Finding, FindingReason, Severity};
use crate::mirrors::manifest::MirrorDocument;
use crate::mirrors::registries::{RegistriesFile, Role};
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::mirrors::{Layer, MirrorEntry, Origin};

/// The key that is read (HyperShift, `TokenSecretConfigKey`).
pub const KEY: &str = "config";

const MACHINE_GROUP: &str = "machineconfiguration.openshift.io/v1";
const ROLE_LABEL: &str = "machineconfiguration.openshift.io/role";
/// The `machineConfigPoolSelector` that HyperShift sets in all documents.
const BUILT_IN: &str = "machineconfiguration.openshift.io/mco-built-in";
/// The files of the agent and of the delivery by rollout.
const OWN_FILES: [&str; 2] = ["/50-hypermirror.conf", "/40-hypermirror-boot.conf"];

/// The content of one ConfigMap of a NodePool's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigDocuments {
    /// Its mirrors, not validated yet.
    pub entries: Arc<[MirrorEntry]>,
    /// Findings about ignored fields, and about fields that HyperShift replaces.
    pub findings: Vec<Finding>,
    /// Problems of documents that nodes cannot use.
    pub problems: Vec<SourceTrouble>,
    /// The registries.conf and drop-ins in its `MachineConfig`s.
    pub files: Vec<NodeFile>,
    /// Its signature policies.
    pub policies: Vec<SignaturePolicy>,
    /// Whether it has tag mirrors, which HyperShift rejects in `spec.config`.
    pub has_tag_mirrors: bool,
    /// Its weight for limits.
    pub weight: Weight,
    /// Whether a mirror document or the whole text cannot be parsed, so that mirrors may be missing.
    is_torn: bool,
}

/// Parses the ConfigMap `namespace/name`. `data` is its text by key.
pub fn read(namespace: &str, name: &str, data: &BTreeMap<String, String>) -> ConfigDocuments {
    let bytes = data.get(KEY).map_or(0, String::len);
    let mut found = ConfigDocuments { weight: Weight::of_config_map(0, bytes), ..ConfigDocuments::default() };
    let object = format!("ConfigMap {namespace}/{name}");
    let Some(text) = data.get(KEY).filter(|text| !text.trim().is_empty()) else {
        let message = format!("{object} has no key {KEY}; stock HyperShift treats this as no configuration");
        found.tear(Reason::ConfigMapKeyMissing, message);
        return found;
    };
    if let Some(line) = bad_separator(text) {
        let message = format!(
            "{object}, key {KEY}, line {line}: only a comment may follow --- on its line; HyperShift rejects it"
        );
        found.tear(Reason::ConfigMapInvalid, message);
        return found;
    }
    let place = Origin {
        kind: "ConfigMap".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
        key: Some(KEY.to_owned()),
        document: Some(0),
        index: 0,
        layer: Layer::NodePool,
    };
    match documents::read(&format!("{object}, key {KEY}"), text) {
        Ok(documents) if documents.is_empty() => {
            found.tear(Reason::ConfigMapKeyMissing, format!("{object}, key {KEY} has no document"));
        }
        Ok(documents) => {
            let mut entries = Vec::new();
            for document in documents {
                found.read_document(&document, &place, &mut entries);
            }
            found.weight.mirrors = weight(&entries);
            found.entries = entries.into();
        }
        // Also for duplicate keys, of which HyperShift silently uses the last one.
        Err(error) => found.tear(Reason::ConfigMapInvalid, error.to_string()),
    }
    found
}

/// The line of a separator that HyperShift's reader rejects (apimachinery, `YAMLReader`).
fn bad_separator(text: &str) -> Option<usize> {
    let bad = |line: &str| {
        let rest = line.strip_prefix("---").map(str::trim);
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('#'))
    };
    text.lines().position(bad).map(|index| index + 1)
}

impl ConfigDocuments {
    /// Whether no mirrors are missing because of parse errors.
    pub fn has_mirrors_whole(&self) -> bool {
        !self.is_torn
    }

    fn tear(&mut self, reason: Reason, message: String) {
        self.is_torn = true;
        self.trouble(reason, message);
    }

    fn refuse(&mut self, document: &Document, message: &str) {
        self.trouble(Reason::ConfigMapInvalid, format!("{}: {message}", document.place));
    }

    fn trouble(&mut self, reason: Reason, message: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(SourceTrouble { reason, message: cut(message) });
        }
    }

    fn warn(&mut self, place: &Origin, reason: FindingReason, field: &str, message: String) {
        if self.findings.len() >= FINDINGS_OF_MAP {
            return;
        }
        let (severity, field, value) = (Severity::Warning, field.to_owned(), String::new());
        self.findings.push(Finding { severity, reason, origin: place.clone(), field, value, message });
    }

    fn read_document(&mut self, document: &Document, place: &Origin, entries: &mut Vec<MirrorEntry>) {
        let place = Origin { document: Some(document.place.document - 1), ..place.clone() };
        if let Some(kind) = MirrorDocument::of(document) {
            match kind.read(document, &place) {
                Ok(declared) => {
                    self.has_tag_mirrors |= kind == MirrorDocument::Itms;
                    entries.extend(declared.entries);
                    let room = FINDINGS_OF_MAP.saturating_sub(self.findings.len());
                    self.findings.extend(declared.findings.into_iter().take(room));
                }
                Err(error) => {
                    self.is_torn = true;
                    self.refuse(document, &error.to_string());
                }
            }
            return;
        }
        let kind = document.text_at("/kind").unwrap_or_default();
        let api_version = document.text_at("/apiVersion").unwrap_or_default();
        let shape = match (kind, api_version) {
            ("MachineConfig", MACHINE_GROUP) => MACHINE_CONFIG,
            ("KubeletConfig", MACHINE_GROUP) => KUBELET_CONFIG,
            ("ContainerRuntimeConfig", MACHINE_GROUP) => CONTAINER_RUNTIME_CONFIG,
            // HyperShift reads v1alpha1 as v1 (`NormalizeV1Alpha1ClusterImagePolicy`).
            ("ClusterImagePolicy", "config.openshift.io/v1" | "config.openshift.io/v1alpha1") => CLUSTER_IMAGE_POLICY,
            ("", _) => return self.refuse(document, "has no kind; HyperShift rejects it"),
            _ => {
                let message = format!(
                    "kind {kind} of {api_version:?} is not a supported node configuration; supported: MachineConfig, \
                     KubeletConfig and \
                     ContainerRuntimeConfig ({MACHINE_GROUP}), ImageContentSourcePolicy, ImageDigestMirrorSet, \
                     ImageTagMirrorSet and ClusterImagePolicy"
                );
                return self.refuse(document, &message);
            }
        };
        // One whose scopes cannot be read is refused with its shape.
        self.policies.extend(SignaturePolicy::of(&document.value).unwrap_or_default());
        self.judge(document, &place, shape);
        self.replaced_fields(document, &place, kind);
        if kind == "MachineConfig" {
            self.judge_ignition(document, &place);
        }
    }

    fn judge(&mut self, document: &Document, place: &Origin, shape: Shape) {
        let spec = document.value.get("spec").unwrap_or(&Value::Null);
        if spec.is_null() {
            return self.refuse(document, "has no spec");
        }
        for misfit in misfits(shape, spec, "spec") {
            if misfit.is_unknown {
                self.warn(place, FindingReason::UnknownField, &misfit.field, misfit.message);
            } else {
                self.refuse(document, &format!("{}: {}", misfit.field, misfit.message));
            }
        }
    }

    /// HyperShift sets the role `worker` and its own selector.
    fn replaced_fields(&mut self, document: &Document, place: &Origin, kind: &str) {
        let value = &document.value;
        if kind == "MachineConfig" {
            let role = value["metadata"]["labels"][ROLE_LABEL].as_str().filter(|role| *role != "worker");
            if let Some(role) = role {
                let field = format!("metadata.labels[{ROLE_LABEL}]");
                let message = format!("HyperShift replaces {role:?} with \"worker\"");
                self.warn(place, FindingReason::FieldReplaced, &field, message);
            }
            return;
        }
        let selector = &value["spec"]["machineConfigPoolSelector"];
        if !selector.is_null() && selector["matchLabels"].get(BUILT_IN).is_none() {
            let message = format!(
                "HyperShift replaces it with matchLabels {{{BUILT_IN}: \"\"}}, so it applies to every node \
                         of the pool"
            );
            self.warn(place, FindingReason::FieldReplaced, "spec.machineConfigPoolSelector", message);
        }
    }

    /// Checks the Ignition fields without which the machine-config-operator rejects a document, and files of hypermirror.
    fn judge_ignition(&mut self, document: &Document, place: &Origin) {
        let config = &document.value["spec"]["config"];
        if config.is_null() {
            return;
        }
        let version = config["ignition"]["version"].as_str();
        let is_read = version.is_some_and(|version| version.starts_with("3.") || version == "2.2.0");
        if !is_read {
            let found = version.map_or_else(|| "nothing".to_owned(), |version| format!("{version:?}"));
            let message =
                format!("spec.config.ignition.version: {found} is not a supported version; use 3.2.0, for example");
            self.refuse(document, &message);
        }
        let files = config["storage"]["files"].as_array().into_iter().flatten().enumerate();
        for (index, file) in files {
            let path = file["path"].as_str().unwrap_or_default();
            let field = format!("spec.config.storage.files[{index}].path");
            if !path.starts_with('/') {
                self.refuse(document, &format!("{field}: {path:?} is not an absolute path"));
            } else if OWN_FILES.iter().any(|own| path.ends_with(own)) {
                self.refuse(document, &format!("{field}: {path:?} is reserved, because hypermirror writes this file"));
            } else if node_files::is_read(path) {
                self.node_file(document, place, file, &field);
            }
        }
    }

    /// Another file with mirror configuration.
    fn node_file(&mut self, document: &Document, place: &Origin, file: &Value, field: &str) {
        let path = file["path"].as_str().unwrap_or_default();
        let content = match node_files::content(file) {
            Ok(content) => content,
            Err(why) => {
                let message = format!("{path:?} also configures mirrors, but its content is not known: {why}");
                return self.warn(place, FindingReason::NodeFileUnknown, field, message);
            }
        };
        let role = if path == node_files::MAIN_FILE { Role::Main } else { Role::DropIn };
        if let Err(error) = RegistriesFile::parse(&content, role) {
            return self.refuse(document, &format!("{field}: {path:?} would break every pull on the nodes: {error}"));
        }
        self.files.push(NodeFile {
            path: path.to_owned(),
            content: content.into(),
            machine_config: document.text_at("/metadata/name").unwrap_or_default().to_owned(),
            config_map: place.name.clone(),
        });
    }
}
