//! The watched objects that declare mirrors, and this node's labels.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hypermirror_api::NodeMirrorSet;
use hypermirror_api::mirror_sets::{
    ImageContentSourcePolicy, ImageDigestMirrorSet, ImageMirrorDigestSet, ImageTagMirrorSet,
};
use hypermirror_api::node_mirror_status::ObservedSet;
use kube::core::error_boundary::InvalidObject;
use kube::core::{Selector, SelectorExt as _};
use kube::{Resource, ResourceExt as _};

use super::desired::DeclaredMirrors;
use crate::mirrors::entry::{MirrorSpec, foreign_to_nodes, of_node_mirror_set, of_object, weight};
use crate::mirrors::{Layer, MirrorEntry};

/// A kind that declares mirrors for nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetKind {
    /// `NodeMirrorSet`.
    Node,
    /// `ImageDigestMirrorSet`.
    Digest,
    /// `ImageTagMirrorSet`.
    Tag,
    /// `ImageContentSourcePolicy`.
    Policy,
    /// `ImageMirrorDigestSet`.
    PerNode,
}

impl SetKind {
    /// The kind's name.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Node => "NodeMirrorSet",
            Self::Digest => "ImageDigestMirrorSet",
            Self::Tag => "ImageTagMirrorSet",
            Self::Policy => "ImageContentSourcePolicy",
            Self::PerNode => "ImageMirrorDigestSet",
        }
    }

    /// The name of its CRD.
    pub const fn crd(self) -> &'static str {
        match self {
            Self::Node => "nodemirrorsets.hypermirror.dev",
            Self::Digest => "imagedigestmirrorsets.config.openshift.io",
            Self::Tag => "imagetagmirrorsets.config.openshift.io",
            Self::Policy => "imagecontentsourcepolicies.operator.openshift.io",
            Self::PerNode => "imagemirrordigestsets.config.openshift.io",
        }
    }
}

/// The relevant part of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    name: String,
    uid: String,
    generation: i64,
    /// Selects nodes. `None` selects all.
    selector: Option<Selector>,
    entries: Vec<MirrorEntry>,
    /// The error if it cannot be decoded. Its entries are then those of its last valid version.
    error: Option<String>,
    /// Whether the agent ignores it, because HyperShift or the manager applies it.
    is_foreign: bool,
    /// The number of mirrors that it declares. Its entries are not kept if all objects together exceed [`KEPT_MIRRORS`].
    mirrors: usize,
}

/// Maximum number of mirrors of all objects. They take about 40 MB including the generated file; the container has 64 MB.
const KEPT_MIRRORS: usize = 5_000;

impl Set {
    fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// An object that cannot be decoded.
    pub fn unreadable(invalid: &InvalidObject) -> Self {
        let name = invalid.metadata.name.clone().unwrap_or_default();
        let uid = invalid.metadata.uid.clone().unwrap_or_default();
        let is_foreign = foreign_to_nodes(&name, invalid.metadata.labels.as_ref()).is_some();
        Self { name, uid, error: Some(invalid.error.clone()), is_foreign, ..Self::default() }
    }

    /// Whether its entries are not kept.
    fn is_cut(&self) -> bool {
        self.mirrors > 0 && self.entries.is_empty()
    }

    /// Converts a NodeMirrorSet.
    pub fn of_nodes(object: &NodeMirrorSet) -> Self {
        let set = Self::of(object);
        let entries = of_node_mirror_set(&set.name, &object.spec);
        match object.spec.node_selector.clone().map(Selector::try_from).transpose() {
            Ok(selector) => Self { selector, entries, ..set },
            Err(error) => Self { error: Some(format!("spec.nodeSelector: {error}")), ..set },
        }
    }

    fn of_mirrors<S: MirrorSpec>(object: &impl Resource, spec: &S) -> Self {
        let set = Self::of(object);
        let is_foreign = foreign_to_nodes(&set.name, object.meta().labels.as_ref()).is_some();
        Self { entries: of_object(&set.name, spec, Layer::Management), is_foreign, ..set }
    }

    /// Converts an ImageDigestMirrorSet.
    pub fn of_digests(object: &ImageDigestMirrorSet) -> Self {
        Self::of_mirrors(object, &object.spec)
    }

    /// Converts an ImageTagMirrorSet.
    pub fn of_tags(object: &ImageTagMirrorSet) -> Self {
        Self::of_mirrors(object, &object.spec)
    }

    /// Converts an ImageContentSourcePolicy.
    pub fn of_policies(object: &ImageContentSourcePolicy) -> Self {
        Self::of_mirrors(object, &object.spec)
    }

    /// Converts an ImageMirrorDigestSet.
    pub fn of_per_node(object: &ImageMirrorDigestSet) -> Self {
        Self::of_mirrors(object, &object.spec)
    }
}

#[derive(Debug, Default)]
struct Kind {
    is_listed: bool,
    objects: BTreeMap<String, Set>,
}

/// All watched objects.
#[derive(Debug, Default)]
pub struct Sets {
    labels: Option<BTreeMap<String, String>>,
    node_uid: Option<String>,
    kinds: BTreeMap<SetKind, Kind>,
    changed_at: Option<Instant>,
}

impl Sets {
    /// Creates an empty collection for these kinds.
    pub fn new(kinds: &[SetKind]) -> Self {
        Self { kinds: kinds.iter().map(|kind| (*kind, Kind::default())).collect(), ..Self::default() }
    }

    /// Sets the labels of this node. Returns whether the selected objects may change.
    pub fn set_node(&mut self, node: &impl Resource) -> bool {
        let labels = node.labels().clone();
        self.node_uid.clone_from(&node.meta().uid);
        let is_new = self.labels.as_ref() != Some(&labels);
        self.labels = Some(labels);
        if self.chosen().any(|(_, set)| set.is_cut()) {
            self.drop_unchosen();
        }
        self.note(is_new)
    }

    /// The `metadata.uid` of this node.
    pub fn node_uid(&self) -> Option<&str> {
        self.node_uid.as_deref()
    }

    fn note(&mut self, changed: bool) -> bool {
        if changed {
            self.changed_at.get_or_insert_with(Instant::now);
        }
        changed
    }

    /// Takes the time of the first change that is not processed yet.
    pub fn take_change(&mut self) -> Option<Instant> {
        self.changed_at.take()
    }

    /// Replaces all objects of a kind. Returns whether anything changed.
    pub fn replace(&mut self, kind: SetKind, sets: Vec<Set>) -> bool {
        let names: BTreeSet<String> = sets.iter().map(|set| set.name.clone()).collect();
        let mut changed = self.keep_only(kind, &names);
        for set in sets {
            changed |= self.apply(kind, set);
        }
        self.kinds.entry(kind).or_default().is_listed = true;
        changed
    }

    /// Whether a known object is missing in a list.
    pub fn lacks_any(&self, kind: SetKind, sets: &[Set]) -> bool {
        let known = self.kinds.get(&kind).into_iter().flat_map(|kind| kind.objects.keys());
        known.into_iter().any(|name| !sets.iter().any(|set| set.name == *name))
    }

    /// Adds or replaces an object. If it cannot be decoded, the entries of its last valid version are kept.
    pub fn apply(&mut self, kind: SetKind, mut set: Set) -> bool {
        let objects = &mut self.kinds.entry(kind).or_default().objects;
        let before = objects.get(&set.name);
        if let (Some(before), Some(_)) = (before, &set.error) {
            set.entries.clone_from(&before.entries);
            set.selector.clone_from(&before.selector);
            set.mirrors = before.mirrors;
        } else {
            set.mirrors = weight(&set.entries);
        }
        if !self.has_room(kind, &set) {
            self.drop_unchosen();
        }
        if !self.has_room(kind, &set) {
            set.entries = Vec::new();
        }
        let objects = &mut self.kinds.entry(kind).or_default().objects;
        let before = objects.get(&set.name);
        let changed = before != Some(&set);
        objects.insert(set.name.clone(), set);
        self.note(changed)
    }

    /// Whether the limit allows keeping an object's entries in addition to those of all others.
    fn has_room(&self, kind: SetKind, set: &Set) -> bool {
        let all = self.kinds.iter().flat_map(|(of, known)| known.objects.values().map(move |set| (*of, set)));
        let others = all.filter(|(of, other)| *of != kind || other.name != set.name);
        let kept: usize = others.filter(|(_, other)| !other.is_cut()).map(|(_, other)| other.mirrors).sum();
        set.mirrors + kept <= KEPT_MIRRORS
    }

    /// Drops entries of objects that do not select this node.
    fn drop_unchosen(&mut self) {
        let Some(labels) = &self.labels else { return };
        for set in self.kinds.values_mut().flat_map(|known| known.objects.values_mut()) {
            if set.is_foreign || set.selector.as_ref().is_some_and(|selector| !selector.matches(labels)) {
                set.entries = Vec::new();
            }
        }
    }

    /// Whether entries that were dropped fit into the limit now, so that their objects have to be listed again.
    pub fn can_keep_more(&self) -> bool {
        self.chosen().any(|(kind, set)| set.is_cut() && self.has_room(kind, set))
    }

    /// Removes an object.
    pub fn remove(&mut self, kind: SetKind, name: &str) -> bool {
        let changed = self.kinds.entry(kind).or_default().objects.remove(name).is_some();
        self.note(changed)
    }

    /// Removes the objects of a kind that are not in a list of names.
    pub fn keep_only(&mut self, kind: SetKind, names: &BTreeSet<String>) -> bool {
        let objects = &mut self.kinds.entry(kind).or_default().objects;
        let before = objects.len();
        objects.retain(|name, _| names.contains(name));
        let changed = objects.len() != before;
        self.note(changed)
    }

    fn chosen(&self) -> impl Iterator<Item = (SetKind, &Set)> {
        let all = self.kinds.iter().flat_map(|(kind, known)| known.objects.values().map(|set| (*kind, set)));
        all.filter(|(_, set)| !set.is_foreign && self.is_chosen_by(set.selector.as_ref()))
    }

    fn is_chosen_by(&self, selector: Option<&Selector>) -> bool {
        selector.is_none_or(|selector| self.labels.as_ref().is_some_and(|labels| selector.matches(labels)))
    }

    /// The entries for this node.
    pub fn declared(&self) -> DeclaredMirrors {
        let mut declared = DeclaredMirrors::default();
        for (kind, set) in self.chosen() {
            declared.entries.extend(set.entries.iter().cloned());
            if set.is_cut() {
                let mirrors: usize = self.chosen().map(|(_, set)| set.mirrors).sum();
                declared.too_many = Some(format!(
                    "{mirrors} mirrors are declared for this node, which exceeds the agent's limit of {KEPT_MIRRORS}"
                ));
            }
            if let Some(error) = &set.error {
                declared.malformed.push((format!("{}/{}", kind.kind(), set.name), error.clone()));
            }
        }
        let unknown = self.kinds.iter().filter(|(_, known)| !known.is_listed);
        declared.unknown_kinds = unknown.map(|(kind, _)| kind.kind()).collect();
        declared
    }

    /// The valid objects that select this node.
    pub fn observed(&self) -> Vec<ObservedSet> {
        let readable = self.chosen().filter(|(_, set)| set.error.is_none());
        let mut observed: Vec<_> = readable
            .map(|(kind, set)| ObservedSet {
                kind: kind.kind().to_owned(),
                name: set.name.clone(),
                uid: set.uid.clone(),
                generation: set.generation,
            })
            .collect();
        observed.sort_unstable();
        observed
    }

    /// The name of a set.
    pub fn name_of(set: &Set) -> &str {
        &set.name
    }
}

#[cfg(test)]
mod tests;
