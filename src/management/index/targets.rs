//! Target Deployments by control-plane namespace: metadata from watches, other fields from reads and writes.

pub mod lists;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use hypermirror_api::annotations;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use self::lists::Lists;
use crate::fleet::rollout::Mark;
use crate::hosted::entries::Entries;
use crate::hosted::observed::ObservedTarget;

/// The watched metadata of one Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetMeta {
    /// The namespace.
    pub namespace: String,
    /// The UID.
    pub uid: String,
    /// The generation, which changes with the spec and with annotations.
    pub generation: i64,
    /// The annotation `hypermirror.dev/rollout`, if it is a mark.
    pub rollout: Option<Mark>,
}

impl TargetMeta {
    /// The part of the metadata that is kept, because managed fields are much larger.
    pub fn of(deployment: &PartialObjectMeta<Deployment>) -> Self {
        Self {
            namespace: deployment.namespace().unwrap_or_default(),
            uid: deployment.uid().unwrap_or_default(),
            generation: deployment.metadata.generation.unwrap_or_default(),
            rollout: deployment.annotations().get(annotations::ROLLOUT).and_then(|mark| mark.parse().ok()),
        }
    }
}

/// The known state of one target.
#[derive(Clone, Debug, Default)]
pub struct TargetSlot {
    /// `None` if the Deployment does not exist.
    pub meta: Option<TargetMeta>,
    /// The state when it was last read or written.
    pub observed: Option<Arc<ObservedTarget>>,
    /// Whether a list that is being read will have it.
    awaits_list: bool,
    mark: NewestMark,
}

/// The state of one target for facts.
#[derive(Clone, Debug, Default)]
pub struct KnownTarget {
    /// Whether the Deployment exists.
    pub exists: bool,
    /// Whether it has to be read before the next plan.
    pub is_stale: bool,
    /// Whether a list that is being read will have it.
    pub awaits_list: bool,
    /// The state when it was last read or written.
    pub observed: Option<Arc<ObservedTarget>>,
}

impl From<&TargetSlot> for KnownTarget {
    fn from(slot: &TargetSlot) -> Self {
        let (exists, is_stale) = (slot.meta.is_some(), slot.is_stale());
        Self { exists, is_stale, awaits_list: slot.awaits_list, observed: slot.observed.clone().filter(|_| exists) }
    }
}

/// The newest known `hypermirror.dev/rollout` of one Deployment. The watch may be older than the manager's own write, which
/// the generation shows.
#[derive(Clone, Copy, Debug, Default)]
struct NewestMark {
    generation: i64,
    mark: Option<Mark>,
}

impl NewestMark {
    fn update(&mut self, generation: i64, mark: impl FnOnce() -> Option<Mark>) {
        if generation >= self.generation {
            *self = Self { generation, mark: mark() };
        }
    }
}

impl TargetSlot {
    /// Whether it has to be read before the next plan.
    pub fn is_stale(&self) -> bool {
        match (&self.meta, &self.observed) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(meta), Some(observed)) => {
                meta.uid != observed.uid || meta.generation > observed.generation.unwrap_or_default()
            }
        }
    }
}

/// All targets.
#[derive(Debug)]
pub struct Targets {
    count: usize,
    namespaces: HashMap<String, Vec<TargetSlot>>,
    lists: Lists,
    /// Shared values, because most hosted clusters have the same ones.
    values: HashSet<Entries>,
}

impl Targets {
    /// Creates an empty set for this number of targets per namespace.
    pub fn new(count: usize) -> Self {
        Self { count, namespaces: HashMap::new(), lists: Lists::default(), values: HashSet::new() }
    }

    fn slot(&mut self, namespace: &str, place: usize) -> Option<&mut TargetSlot> {
        let slots =
            self.namespaces.entry(namespace.to_owned()).or_insert_with(|| vec![TargetSlot::default(); self.count]);
        slots.get_mut(place)
    }

    /// Adds or updates metadata. Returns whether the Deployment must be reconciled.
    pub fn apply(&mut self, place: usize, target: &TargetMeta) -> bool {
        let Some(slot) = self.slot(&target.namespace, place) else { return false };
        let changed = slot.meta.as_ref() != Some(target);
        // A Deployment that was created again has no rollout of ours, whatever its predecessor had.
        if slot.meta.as_ref().is_some_and(|before| before.uid != target.uid) {
            slot.mark = NewestMark::default();
        }
        slot.mark.update(target.generation, || target.rollout);
        slot.meta = Some(target.clone());
        changed && slot.is_stale()
    }

    /// Updates only the mark from a list; the watch updates the rest.
    pub fn update_mark(&mut self, place: usize, target: &TargetMeta) {
        let Some(slot) = self.slot(&target.namespace, place) else { return };
        if slot.meta.as_ref().is_none_or(|meta| meta.uid == target.uid) {
            slot.mark.update(target.generation, || target.rollout);
        }
    }

    /// Replaces a list. Returns the namespaces to reconcile.
    pub fn replace(&mut self, place: usize, targets: &[TargetMeta]) -> Vec<String> {
        let listed: BTreeSet<&str> = targets.iter().map(|target| target.namespace.as_str()).collect();
        let mut gone = Vec::new();
        for (namespace, slots) in &mut self.namespaces {
            if let Some(slot) = slots.get_mut(place)
                && slot.meta.is_some()
                && !listed.contains(namespace.as_str())
            {
                *slot = TargetSlot::default();
                gone.push(namespace.clone());
            }
        }
        let changed = targets.iter().filter(|target| self.apply(place, target));
        let mut changed: Vec<String> = changed.map(|target| target.namespace.clone()).collect();
        changed.append(&mut gone);
        changed
    }

    /// Removes a Deployment.
    pub fn remove(&mut self, place: usize, namespace: &str) {
        if let Some(slots) = self.namespaces.get_mut(namespace) {
            if let Some(slot) = slots.get_mut(place) {
                *slot = TargetSlot::default();
            }
            if slots.iter().all(|slot| slot.meta.is_none()) {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Drops the observed state of one namespace.
    pub fn distrust(&mut self, namespace: &str) {
        for slot in self.namespaces.get_mut(namespace).into_iter().flatten() {
            slot.observed = None;
        }
    }

    /// The last rollout of one namespace that counted in the rollout budget.
    pub fn mark(&self, namespace: &str) -> Option<Mark> {
        self.namespaces.get(namespace)?.iter().filter_map(|slot| slot.mark.mark).max()
    }

    /// Drops the observed state of one target that does not exist. Its watch will report the deletion.
    pub fn miss(&mut self, namespace: &str, place: usize) {
        if let Some(slot) = self.namespaces.get_mut(namespace).and_then(|slots| slots.get_mut(place)) {
            slot.observed = None;
        }
    }

    /// The states of the targets of one namespace for facts, by index.
    pub fn known(&self, namespace: &str) -> Vec<KnownTarget> {
        match self.namespaces.get(namespace) {
            Some(slots) => slots.iter().map(KnownTarget::from).collect(),
            None => vec![KnownTarget::default(); self.count],
        }
    }

    /// The targets of one namespace, by index.
    pub fn of(&self, namespace: &str) -> Vec<TargetSlot> {
        self.namespaces.get(namespace).cloned().unwrap_or_else(|| self.none())
    }

    /// No targets.
    pub fn none(&self) -> Vec<TargetSlot> {
        vec![TargetSlot::default(); self.count]
    }

    /// Stores the observed state of a Deployment.
    pub fn observe(&mut self, namespace: &str, place: usize, mut observed: ObservedTarget) -> Arc<ObservedTarget> {
        for value in [&mut observed.overrides, &mut observed.retired, &mut observed.argument].into_iter().flatten() {
            self.intern(value);
        }
        if let Some(container) = &mut observed.container {
            for entry in &mut container.env {
                self.intern(&mut entry.value);
            }
            for entry in &mut container.arguments {
                self.intern(&mut entry.value);
            }
        }
        let observed = Arc::new(observed);
        if let Some(slot) = self.slot(namespace, place) {
            if slot.meta.as_ref().is_some_and(|meta| meta.uid == observed.uid) {
                let generation = observed.generation.unwrap_or_default();
                slot.mark.update(generation, || observed.rollout.as_deref().and_then(|mark| mark.parse().ok()));
            }
            slot.observed = Some(Arc::clone(&observed));
        }
        observed
    }

    fn intern(&mut self, value: &mut Entries) {
        if let Some(known) = self.values.get(value) {
            *value = known.clone();
            return;
        }
        // A value that only this set has is no longer in use.
        if self.values.len() > 64 && self.values.len() > self.namespaces.len() {
            self.values.retain(Entries::is_shared);
        }
        self.values.insert(value.clone());
    }
}
