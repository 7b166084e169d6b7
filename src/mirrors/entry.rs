//! A declared source and its mirrors, independent of the kind of the object that declares it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hypermirror_api::hypershift::ImageContentSource;
use hypermirror_api::mirror_sets::{
    ImageContentSourcePolicySpec, ImageDigestMirrorSetSpec, ImageMirrorDigestSetSpec, ImageTagMirrorSetSpec,
    SourceMirrors,
};
use hypermirror_api::names;
use hypermirror_api::node_mirror_set::{NodeLayer, NodeMirrorSetSpec, NodeMirrors};
use serde::Deserialize;

use super::{DeclaredPolicy, Layer, Origin, Policy};

const ICSP_LIST: &str = "spec.repositoryDigestMirrors";
const IMAGE_CONTENT_SOURCES_LIST: &str = "spec.imageContentSources";
/// The path of a list that is a whole document.
pub const BARE_LIST: &str = "";

/// The pulls that an entry applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullBy {
    /// Pulls by digest: IDMS, ICSP, ImageMirrorDigestSet and `imageContentSources`.
    Digest,
    /// Pulls by tag: ITMS.
    Tag,
}

/// An entry as it was declared, not yet validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorEntry {
    /// The pulls that it applies to.
    pub pull_by: PullBy,
    /// `host[:port][/path]` or `*.host`, if it is valid.
    pub source: String,
    /// The mirrors, in the order in which they are tried.
    pub mirrors: Vec<String>,
    /// `mirrorSourcePolicy` as written. `None` allows contacting the source.
    pub policy: Option<DeclaredPolicy>,
    /// `insecureSkipTLSVerify`: its mirrors are contacted without verified TLS.
    pub insecure: bool,
    /// The path of its list, e.g. `spec.imageDigestMirrors`.
    pub list: &'static str,
    /// The object, and the index in that list.
    pub origin: Origin,
}

impl MirrorEntry {
    /// The path of the entry in its object, e.g. `spec.imageDigestMirrors[2]`.
    pub fn field(&self) -> String {
        format!("{}[{}]", self.list, self.origin.index)
    }

    /// The policy that it has for its source.
    pub fn policy(&self) -> Policy {
        match self.policy {
            Some(DeclaredPolicy::Known(policy)) => policy,
            _ => Policy::default(),
        }
    }

    /// Whether it is in `HostedCluster.spec.imageContentSources`, which HyperShift itself applies to guest clusters and
    /// nodes.
    pub fn is_image_content_source(&self) -> bool {
        self.list == IMAGE_CONTENT_SOURCES_LIST
    }

    /// Whether the CRD of its kind has no pattern for sources and mirrors, so that they can have a tag or a digest.
    pub fn allows_tags_and_digests(&self) -> bool {
        matches!(self.list, ICSP_LIST | IMAGE_CONTENT_SOURCES_LIST | BARE_LIST)
    }
}

/// Entries of several objects. Each object's list is shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct MirrorEntries {
    parts: Vec<Arc<[MirrorEntry]>>,
}

impl MirrorEntries {
    /// Adds the entries of one more object.
    pub fn add(&mut self, entries: &Arc<[MirrorEntry]>) {
        if !entries.is_empty() {
            self.parts.push(Arc::clone(entries));
        }
    }

    /// All entries, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &MirrorEntry> + Clone {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Equal values: the same lists of the same objects.
    pub fn parts(&self) -> &[Arc<[MirrorEntry]>] {
        &self.parts
    }
}

impl PartialEq for MirrorEntries {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for MirrorEntries {}

impl From<Vec<MirrorEntry>> for MirrorEntries {
    fn from(entries: Vec<MirrorEntry>) -> Self {
        let mut all = Self::default();
        all.add(&entries.into());
        all
    }
}

/// The weight of entries against a limit: the number of their mirrors, and one for each entry without mirrors.
pub fn weight<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> usize {
    entries.into_iter().map(|entry| entry.mirrors.len().max(1)).sum()
}

/// A list of entries in the spec of some kind: the pulls that it applies to, its path and its elements.
pub type EntryList<'a> = (PullBy, &'static str, &'a [SourceMirrors]);

/// The spec of a kind that declares mirrors.
pub trait MirrorSpec {
    /// The kind in an [`Origin`].
    const KIND: &'static str;

    /// Its lists of entries, in order of precedence.
    fn lists(&self) -> Vec<EntryList<'_>>;
}

impl MirrorSpec for ImageDigestMirrorSetSpec {
    const KIND: &'static str = "ImageDigestMirrorSet";

    fn lists(&self) -> Vec<EntryList<'_>> {
        vec![(PullBy::Digest, "spec.imageDigestMirrors", &self.image_digest_mirrors)]
    }
}

impl MirrorSpec for ImageTagMirrorSetSpec {
    const KIND: &'static str = "ImageTagMirrorSet";

    fn lists(&self) -> Vec<EntryList<'_>> {
        vec![(PullBy::Tag, "spec.imageTagMirrors", &self.image_tag_mirrors)]
    }
}

impl MirrorSpec for ImageContentSourcePolicySpec {
    const KIND: &'static str = "ImageContentSourcePolicy";

    fn lists(&self) -> Vec<EntryList<'_>> {
        vec![(PullBy::Digest, ICSP_LIST, &self.repository_digest_mirrors)]
    }
}

impl MirrorSpec for ImageMirrorDigestSetSpec {
    const KIND: &'static str = "ImageMirrorDigestSet";

    fn lists(&self) -> Vec<EntryList<'_>> {
        vec![
            (PullBy::Digest, "spec.imageDigestMirrors", &self.image_digest_mirrors),
            (PullBy::Digest, "spec.mirrors", &self.mirrors),
        ]
    }
}

/// The entries of a cluster-scoped object.
pub fn of_object<S: MirrorSpec>(name: &str, spec: &S, layer: Layer) -> Vec<MirrorEntry> {
    let place = Origin {
        kind: S::KIND.to_owned(),
        namespace: None,
        name: name.to_owned(),
        key: None,
        document: None,
        index: 0,
        layer,
    };
    of_document(spec, &place)
}

/// The entries of a spec at `place`, such as a document of a ConfigMap. The index of `place` is ignored.
pub fn of_document<S: MirrorSpec>(spec: &S, place: &Origin) -> Vec<MirrorEntry> {
    let entries = spec.lists().into_iter().flat_map(|(pull_by, list, elements)| {
        elements.iter().enumerate().map(move |(index, element)| MirrorEntry {
            pull_by,
            source: element.source.clone(),
            mirrors: element.mirrors.clone(),
            policy: element.mirror_source_policy.as_deref().and_then(DeclaredPolicy::parse),
            insecure: element.insecure_skip_tls_verify,
            list,
            origin: Origin { index, ..place.clone() },
        })
    });
    entries.collect()
}

/// The entries of `HostedCluster.spec.imageContentSources`: digest mirrors without a policy.
pub fn of_image_content_sources(
    namespace: &str,
    name: &str,
    sources: &[ImageContentSource],
    layer: Layer,
) -> Vec<MirrorEntry> {
    let entries = sources.iter().enumerate().map(|(index, element)| MirrorEntry {
        pull_by: PullBy::Digest,
        source: element.source.clone(),
        mirrors: element.mirrors.clone(),
        policy: None,
        insecure: false,
        list: IMAGE_CONTENT_SOURCES_LIST,
        origin: Origin {
            kind: "HostedCluster".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            key: None,
            document: None,
            index,
            layer,
        },
    });
    entries.collect()
}

/// One element of a list that is not in a Kubernetes object: `--image-content-sources` of the HyperShift CLI, and the two
/// lists of an install-config, of which one has a policy.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ListedSource {
    source: String,
    mirrors: Vec<String>,
    source_policy: Option<String>,
}

/// The entries of such a list, with `kind` and `name` as their origin.
pub fn of_list(kind: &str, name: &str, list: &'static str, sources: &[ListedSource]) -> Vec<MirrorEntry> {
    let entries = sources.iter().enumerate().map(|(index, element)| MirrorEntry {
        pull_by: PullBy::Digest,
        source: element.source.clone(),
        mirrors: element.mirrors.clone(),
        policy: element.source_policy.as_deref().and_then(DeclaredPolicy::parse),
        insecure: false,
        list,
        origin: place_in_list(kind, name, index),
    });
    entries.collect()
}

/// The origin of an entry of such a list.
pub fn place_in_list(kind: &str, name: &str, index: usize) -> Origin {
    Origin {
        kind: kind.to_owned(),
        namespace: None,
        name: name.to_owned(),
        key: None,
        document: None,
        index,
        layer: Layer::Management,
    }
}

/// Why a standalone agent ignores a mirror object of its cluster, if it does: the rule of `hcp-idms-operator`
/// (`shouldIgnoreResource`), and objects that the manager applied for builds and image imports.
pub fn foreign_to_nodes(name: &str, labels: Option<&BTreeMap<String, String>>) -> Option<&'static str> {
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    if name == "default" {
        Some("its name is default")
    } else if label(names::HYPERSHIFT_MANAGED_LABEL).is_some_and(|value| value == "true") {
        Some("it is labelled hypershift.openshift.io/managed")
    } else if label(names::MANAGED_LABEL).is_some() {
        Some("it is labelled hypermirror.dev/managed")
    } else {
        None
    }
}

/// The entries of a NodeMirrorSet, each with its declared origin. The default origin is the set itself.
pub fn of_node_mirror_set(name: &str, spec: &NodeMirrorSetSpec) -> Vec<MirrorEntry> {
    let layer = match spec.layer {
        NodeLayer::HostedCluster => Layer::HostedCluster,
        NodeLayer::NodePool => Layer::NodePool,
    };
    let lists = [
        (PullBy::Digest, "spec.digestMirrors", &spec.digest_mirrors),
        (PullBy::Tag, "spec.tagMirrors", &spec.tag_mirrors),
    ];
    let entries = lists.into_iter().flat_map(|(pull_by, list, elements)| {
        elements.iter().enumerate().map(move |(index, element)| MirrorEntry {
            pull_by,
            source: element.source.clone(),
            mirrors: element.mirrors.clone(),
            policy: element.mirror_source_policy.map(DeclaredPolicy::Known),
            insecure: false,
            list: element.origin.as_ref().map_or(list, |origin| list_of(&origin.kind, pull_by)),
            origin: node_origin(name, element, index, layer),
        })
    });
    entries.collect()
}

/// The path of the list of entries in an object of this kind.
fn list_of(kind: &str, pull_by: PullBy) -> &'static str {
    match (kind, pull_by) {
        ("HostedCluster", _) => IMAGE_CONTENT_SOURCES_LIST,
        ("ImageContentSourcePolicy", _) => ICSP_LIST,
        (_, PullBy::Digest) => "spec.imageDigestMirrors",
        (_, PullBy::Tag) => "spec.imageTagMirrors",
    }
}

fn node_origin(set: &str, element: &NodeMirrors, index: usize, layer: Layer) -> Origin {
    let Some(origin) = &element.origin else {
        let kind = "NodeMirrorSet".to_owned();
        return Origin { kind, namespace: None, name: set.to_owned(), key: None, document: None, index, layer };
    };
    Origin {
        kind: origin.kind.clone(),
        namespace: origin.namespace.clone(),
        name: origin.name.clone(),
        key: origin.key.clone(),
        // All supported platforms have a `usize` of at least 32 bits.
        document: origin.document.and_then(|document| usize::try_from(document).ok()),
        index: usize::try_from(origin.index).unwrap_or(index),
        layer,
    }
}

#[cfg(test)]
mod tests;
