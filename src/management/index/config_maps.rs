//! The ConfigMaps in namespaces of HostedClusters: their versions, and the content of referenced ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::hosted::limits::Weight;
use crate::hosted::mirror_config::{self, MirrorConfig};
use crate::hosted::pool_config::{self, ConfigDocuments};
use crate::hosted::sources::ReferredConfig;

/// The known ConfigMaps, by namespace.
#[derive(Debug, Default)]
pub struct ConfigMaps {
    namespaces: HashMap<String, Namespace>,
}

#[derive(Debug, Default)]
struct Namespace {
    /// Whether the first list is complete.
    is_listed: bool,
    /// The error if the namespace cannot be listed.
    failing: Option<String>,
    /// The `resourceVersion` of each ConfigMap by name.
    versions: HashMap<String, String>,
    loaded: HashMap<String, Arc<LoadedConfigMap>>,
    /// The error of the last read of a ConfigMap, if it failed.
    unreadable: HashMap<String, String>,
}

/// The parsed content of a referenced ConfigMap. Its text is not kept.
#[derive(Debug)]
pub struct LoadedConfigMap {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Its `resourceVersion`.
    pub version: String,
    pub(super) mirrors: Arc<MirrorConfig>,
    pub(super) documents: Arc<ConfigDocuments>,
    /// Its share of the limits of its namespace.
    pub(super) weight: Weight,
    /// The error if it exceeds a limit, so that it is not used.
    pub(super) refusal: Option<String>,
}

impl LoadedConfigMap {
    /// Parses a ConfigMap, which may take long. `data` is its text by key.
    pub fn read(namespace: &str, name: &str, version: String, data: &BTreeMap<String, String>) -> Self {
        let mirrors = mirror_config::read(namespace, name, data);
        let documents = pool_config::read(namespace, name, data);
        let bytes = data.values().map(String::len).sum();
        let weight = Weight::of_config_map(mirrors.weight.mirrors + documents.weight.mirrors, bytes);
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let (mirrors, documents) = (Arc::new(mirrors), Arc::new(documents));
        Self { namespace, name, version, mirrors, documents, weight, refusal: None }
    }

    /// A copy without the content.
    pub(super) fn refused(self, why: String) -> Self {
        Self { mirrors: Arc::default(), documents: Arc::default(), refusal: Some(why), ..self }
    }

    /// The part that is kept.
    pub(super) fn kept(&self) -> Weight {
        if self.refusal.is_some() { Weight::of_config_map(0, 0) } else { self.weight }
    }

    /// Its mirror sets.
    pub fn mirrors(&self) -> Arc<MirrorConfig> {
        Arc::clone(&self.mirrors)
    }

    /// Its documents of a NodePool's configuration.
    pub fn documents(&self) -> Arc<ConfigDocuments> {
        Arc::clone(&self.documents)
    }
}

/// The known state of one ConfigMap.
#[derive(Clone, Debug)]
pub enum ConfigMapState {
    /// Its namespace is not listed yet, with the error, if there was one.
    Unlisted(Option<String>),
    /// It does not exist.
    Missing,
    /// It exists and is not read yet, with the error, if there was one.
    Stale(Option<String>),
    /// The current version is read.
    Loaded(Arc<LoadedConfigMap>),
}

impl ConfigMapState {
    /// Its content, parsed by `read`. `None` until it is read.
    pub fn referred<C>(self, read: impl Fn(&LoadedConfigMap) -> Arc<C>) -> Option<ReferredConfig<C>> {
        match self {
            Self::Unlisted(None) | Self::Stale(None) => None,
            Self::Unlisted(Some(why)) | Self::Stale(Some(why)) => Some(ReferredConfig::Unreadable(why)),
            Self::Missing => Some(ReferredConfig::Missing),
            Self::Loaded(content) => Some(match &content.refusal {
                Some(why) => ReferredConfig::TooLarge(why.clone()),
                None => ReferredConfig::Read(read(&content), content.version.clone()),
            }),
        }
    }
}

impl ConfigMaps {
    /// Records the version of a ConfigMap. Returns whether it is new.
    pub fn apply(&mut self, namespace: &str, name: &str, version: &str) -> bool {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        known.versions.insert(name.to_owned(), version.to_owned()).as_deref() != Some(version)
    }

    /// Replaces the list of a namespace. Returns the changed names, and whether it is the first list.
    pub fn replace(&mut self, namespace: &str, list: Vec<(String, String)>) -> (BTreeSet<String>, bool) {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        let before = std::mem::replace(&mut known.versions, list.into_iter().collect());
        let is_first = !std::mem::replace(&mut known.is_listed, true);
        known.failing = None;
        let changed = known.versions.iter().filter(|(name, version)| before.get(*name) != Some(*version));
        let gone = before.keys().filter(|name| !known.versions.contains_key(*name));
        let changed: BTreeSet<String> = changed.map(|(name, _)| name.clone()).chain(gone.cloned()).collect();
        known.loaded.retain(|name, _| known.versions.contains_key(name));
        // A list that succeeds after a failure usually means that permissions were granted, so all are tried again.
        known.unreadable.clear();
        (changed, is_first)
    }

    /// Removes a ConfigMap.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(known) = self.namespaces.get_mut(namespace) {
            known.versions.remove(name);
            known.loaded.remove(name);
            known.unreadable.remove(name);
        }
    }

    /// Removes a namespace in which no ConfigMap is referenced any more.
    pub fn forget(&mut self, namespace: &str) {
        self.namespaces.remove(namespace);
    }

    /// Records that a namespace cannot be listed. Returns whether this is new.
    pub fn fail(&mut self, namespace: &str, why: &str) -> bool {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        known.failing.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// The last known version of a ConfigMap.
    pub fn version(&self, namespace: &str, name: &str) -> Option<String> {
        self.namespaces.get(namespace)?.versions.get(name).cloned()
    }

    /// The parsed ConfigMaps of a namespace.
    pub(super) fn loaded(&self, namespace: &str) -> impl Iterator<Item = &LoadedConfigMap> {
        self.namespaces.get(namespace).into_iter().flat_map(|known| known.loaded.values()).map(AsRef::as_ref)
    }

    /// Drops the content of ConfigMaps that are no longer referenced.
    pub(super) fn keep_only(&mut self, namespace: &str, names: &BTreeSet<String>) {
        if let Some(known) = self.namespaces.get_mut(namespace) {
            known.loaded.retain(|name, _| names.contains(name));
        }
    }

    /// Records the content of a ConfigMap. If the watch has reported a newer version than `before`, that one is still to be read.
    pub(super) fn load(&mut self, content: LoadedConfigMap, before: Option<&str>) {
        // A read may be newer than the watch, and the watch newer than the read. The read's version counts only if the watch has
        // not moved meanwhile; otherwise an old content would stay until the next edit.
        let known = self.namespaces.entry(content.namespace.clone()).or_default();
        if known.versions.get(&content.name).map(String::as_str) == before {
            known.versions.insert(content.name.clone(), content.version.clone());
        }
        known.unreadable.remove(&content.name);
        known.loaded.insert(content.name.clone(), Arc::new(content));
    }

    /// Records that a ConfigMap could not be read.
    pub fn fail_to_load(&mut self, namespace: &str, name: &str, why: String) {
        self.namespaces.entry(namespace.to_owned()).or_default().unreadable.insert(name.to_owned(), why);
    }

    /// The state of one ConfigMap.
    pub fn state(&self, namespace: &str, name: &str) -> ConfigMapState {
        let Some(known) = self.namespaces.get(namespace) else { return ConfigMapState::Unlisted(None) };
        if !known.is_listed {
            return ConfigMapState::Unlisted(known.failing.clone());
        }
        let loaded = known.loaded.get(name).cloned();
        match (known.versions.get(name), loaded) {
            (None, _) => ConfigMapState::Missing,
            (Some(version), Some(loaded)) if loaded.version == *version => ConfigMapState::Loaded(loaded),
            (Some(_), _) => ConfigMapState::Stale(known.unreadable.get(name).cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(version: &str) -> LoadedConfigMap {
        LoadedConfigMap::read("clusters", "mirrors", version.to_owned(), &BTreeMap::new())
    }

    #[test]
    fn a_config_map_goes_from_unlisted_to_loaded_and_back() {
        let mut known = ConfigMaps::default();
        let state = |known: &ConfigMaps| known.state("clusters", "mirrors");
        assert!(matches!(state(&known), ConfigMapState::Unlisted(None)));
        assert!(known.fail("clusters", "forbidden") && !known.fail("clusters", "forbidden"));
        assert!(matches!(state(&known), ConfigMapState::Unlisted(Some(why)) if why == "forbidden"));
        assert_eq!(known.replace("clusters", vec![]), (BTreeSet::new(), true));
        assert!(matches!(state(&known), ConfigMapState::Missing));
        assert!(known.apply("clusters", "mirrors", "1") && !known.apply("clusters", "mirrors", "1"));
        assert!(matches!(state(&known), ConfigMapState::Stale(None)));
        known.load(loaded("2"), Some("1")); // read before its event arrived
        assert!(matches!(state(&known), ConfigMapState::Loaded(_)));
        assert!(!known.apply("clusters", "mirrors", "2") && known.apply("clusters", "mirrors", "3"));
        assert!(matches!(state(&known), ConfigMapState::Stale(None)));
        known.load(loaded("2"), Some("2"));
        assert!(matches!(state(&known), ConfigMapState::Stale(None)), "a newer one was reported meanwhile");
        known.fail_to_load("clusters", "mirrors", "no answer".to_owned());
        assert!(matches!(state(&known), ConfigMapState::Stale(Some(why)) if why == "no answer"));
        let list = vec![("mirrors".to_owned(), "4".to_owned())];
        assert_eq!(known.replace("clusters", list), (BTreeSet::from(["mirrors".to_owned()]), false));
        assert_eq!(known.replace("clusters", vec![]), (BTreeSet::from(["mirrors".to_owned()]), false));
        assert!(matches!(state(&known), ConfigMapState::Missing));
    }
}
