//! The ConfigMaps of the namespaces that hold HostedClusters: which there are, and what those say that somebody refers to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::hosted::limits::Weight;
use crate::hosted::mirror_config::{self, MirrorConfig};
use crate::hosted::pool_config::{self, ConfigDocuments};
use crate::hosted::sources::ReferredConfig;

/// What is known of ConfigMaps, by namespace.
#[derive(Debug, Default)]
pub struct ConfigMaps {
    namespaces: HashMap<String, Namespace>,
}

#[derive(Debug, Default)]
struct Namespace {
    /// Whether its first list has come.
    is_listed: bool,
    /// Why it cannot be listed now.
    failing: Option<String>,
    /// The `resourceVersion` of each ConfigMap by name.
    versions: HashMap<String, String>,
    loaded: HashMap<String, Arc<LoadedConfigMap>>,
    /// Why a ConfigMap could not be read when it was tried last.
    unreadable: HashMap<String, String>,
}

/// What a ConfigMap says that somebody refers to; its text is not kept.
#[derive(Debug)]
pub struct LoadedConfigMap {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Its `resourceVersion`.
    pub version: String,
    pub(super) mirrors: Arc<MirrorConfig>,
    pub(super) documents: Arc<ConfigDocuments>,
    /// What it takes of its namespace's budget.
    pub(super) weight: Weight,
    /// Why nothing of it is used, if the budget has no room for it.
    pub(super) refusal: Option<String>,
}

impl LoadedConfigMap {
    /// Reads a ConfigMap, which may take a while; `data` is its text by key.
    pub fn read(namespace: &str, name: &str, version: String, data: &BTreeMap<String, String>) -> Self {
        let mirrors = mirror_config::read(namespace, name, data);
        let documents = pool_config::read(namespace, name, data);
        let bytes = data.values().map(String::len).sum();
        let weight = Weight::of_config_map(mirrors.weight.mirrors + documents.weight.mirrors, bytes);
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let (mirrors, documents) = (Arc::new(mirrors), Arc::new(documents));
        Self { namespace, name, version, mirrors, documents, weight, refusal: None }
    }

    /// The same without what it says.
    pub(super) fn refused(self, why: String) -> Self {
        Self { mirrors: Arc::default(), documents: Arc::default(), refusal: Some(why), ..self }
    }

    /// What is kept of it.
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

/// One ConfigMap, as far as it is known.
#[derive(Clone, Debug)]
pub enum ConfigMapState {
    /// Its namespace was not listed yet; why, if that fails.
    Unlisted(Option<String>),
    /// There is none.
    Missing,
    /// There is one that has to be read; why that failed, if it was tried.
    Stale(Option<String>),
    /// As it is now.
    Loaded(Arc<LoadedConfigMap>),
}

impl ConfigMapState {
    /// What it says, read by `read`; none as long as it has to be read first.
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
    /// Takes a ConfigMap's version in; true if it is new.
    pub fn apply(&mut self, namespace: &str, name: &str, version: &str) -> bool {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        known.versions.insert(name.to_owned(), version.to_owned()).as_deref() != Some(version)
    }

    /// Takes the whole list of a namespace in; answers the names that changed, and whether it is the first list.
    pub fn replace(&mut self, namespace: &str, list: Vec<(String, String)>) -> (BTreeSet<String>, bool) {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        let before = std::mem::replace(&mut known.versions, list.into_iter().collect());
        let is_first = !std::mem::replace(&mut known.is_listed, true);
        known.failing = None;
        let changed = known.versions.iter().filter(|(name, version)| before.get(*name) != Some(*version));
        let gone = before.keys().filter(|name| !known.versions.contains_key(*name));
        let changed: BTreeSet<String> = changed.map(|(name, _)| name.clone()).chain(gone.cloned()).collect();
        known.loaded.retain(|name, _| known.versions.contains_key(name));
        known.unreadable.clear();
        (changed, is_first)
    }

    /// Forgets a ConfigMap.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(known) = self.namespaces.get_mut(namespace) {
            known.versions.remove(name);
            known.loaded.remove(name);
            known.unreadable.remove(name);
        }
    }

    /// Nobody in this namespace refers to a ConfigMap any more: it is no longer watched.
    pub fn forget(&mut self, namespace: &str) {
        self.namespaces.remove(namespace);
    }

    /// The namespace cannot be listed now; true if that is news.
    pub fn fail(&mut self, namespace: &str, why: &str) -> bool {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        known.failing.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// The version of a ConfigMap that was told last.
    pub fn version(&self, namespace: &str, name: &str) -> Option<String> {
        self.namespaces.get(namespace)?.versions.get(name).cloned()
    }

    /// Those of a namespace that were read.
    pub(super) fn loaded(&self, namespace: &str) -> impl Iterator<Item = &LoadedConfigMap> {
        self.namespaces.get(namespace).into_iter().flat_map(|known| known.loaded.values()).map(AsRef::as_ref)
    }

    /// Forgets what those say that nobody refers to any more.
    pub(super) fn keep_only(&mut self, namespace: &str, names: &BTreeSet<String>) {
        if let Some(known) = self.namespaces.get_mut(namespace) {
            known.loaded.retain(|name, _| names.contains(name));
        }
    }

    /// Takes the content of a ConfigMap in. Where its watch has told of a newer version than `before` meanwhile, that one
    /// is still to be read.
    pub(super) fn load(&mut self, content: LoadedConfigMap, before: Option<&str>) {
        let known = self.namespaces.entry(content.namespace.clone()).or_default();
        if known.versions.get(&content.name).map(String::as_str) == before {
            known.versions.insert(content.name.clone(), content.version.clone());
        }
        known.unreadable.remove(&content.name);
        known.loaded.insert(content.name.clone(), Arc::new(content));
    }

    /// A ConfigMap could not be read.
    pub fn fail_to_load(&mut self, namespace: &str, name: &str, why: String) {
        self.namespaces.entry(namespace.to_owned()).or_default().unreadable.insert(name.to_owned(), why);
    }

    /// One ConfigMap.
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
        known.load(loaded("2"), Some("1")); // read before its watch told
        assert!(matches!(state(&known), ConfigMapState::Loaded(_)));
        assert!(!known.apply("clusters", "mirrors", "2") && known.apply("clusters", "mirrors", "3"));
        assert!(matches!(state(&known), ConfigMapState::Stale(None)));
        known.load(loaded("2"), Some("2"));
        assert!(matches!(state(&known), ConfigMapState::Stale(None)), "its watch told of a newer one meanwhile");
        known.fail_to_load("clusters", "mirrors", "no answer".to_owned());
        assert!(matches!(state(&known), ConfigMapState::Stale(Some(why)) if why == "no answer"));
        let list = vec![("mirrors".to_owned(), "4".to_owned())];
        assert_eq!(known.replace("clusters", list), (BTreeSet::from(["mirrors".to_owned()]), false));
        assert_eq!(known.replace("clusters", vec![]), (BTreeSet::from(["mirrors".to_owned()]), false));
        assert!(matches!(state(&known), ConfigMapState::Missing));
    }
}
