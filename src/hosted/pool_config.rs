//! A NodePool's configuration: its ConfigMaps, whether a node could use every document in them, and the mirrors that they
//! declare.
//!
//! Keys, kinds and their order are those of HyperShift (`hypershift-operator/controllers/nodepool/config.go`). Problems for
//! which HyperShift silently replaces nodes, such as a misspelt field, are reported here.

mod condition;
mod documents;
pub mod node_files;
mod shape;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use hypermirror_api::hypershift::NodePool;
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt as _;

use super::condition_state::{SourceTrouble, cut};
use super::delivery::Delivery;
use super::sources::ReferredConfig;
use crate::mirrors::entry::MirrorEntries;
use crate::mirrors::finding::Finding;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::mirrors::{MirrorEntry, PullBy};

pub use condition::{condition, findings, reports};
pub use documents::{ConfigDocuments, KEY, read};
pub use node_files::NodeFile;

/// The error of a HyperShift that does not support an ITMS in `spec.config`.
const REFUSED_TAGS: &str = "unsupported config type: *v1.ImageTagMirrorSet";

/// The ConfigMaps of a NodePool's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolConfig {
    /// The ConfigMaps of `spec.config`, which HyperShift reads.
    pub stock: Vec<String>,
    /// The ConfigMaps of `hypermirror.dev/config` that are not also in `spec.config`.
    pub own: Vec<String>,
    /// HyperShift's error, if it rejects tag mirrors in `spec.config`.
    pub refused: Option<String>,
    /// Number of ConfigMaps beyond [`CONFIG_MAPS`], which are not read.
    pub beyond: usize,
}

/// Maximum number of ConfigMaps of one NodePool, to limit memory.
pub const CONFIG_MAPS: usize = 100;

impl PoolConfig {
    /// The configuration of a NodePool.
    pub fn of(pool: &NodePool) -> Self {
        let mut stock: Vec<String> = pool.spec.config.iter().map(|reference| reference.name.clone()).collect();
        let own = pool.annotations().get(annotations::CONFIG).map(String::as_str).unwrap_or_default();
        let mut seen: HashSet<&str> = stock.iter().map(String::as_str).collect();
        let own = own.split(',').map(str::trim).filter(|name| !name.is_empty() && seen.insert(name));
        let mut names: Vec<String> = own.map(str::to_owned).collect();
        let beyond = (stock.len() + names.len()).saturating_sub(CONFIG_MAPS);
        stock.truncate(CONFIG_MAPS);
        names.truncate(CONFIG_MAPS - stock.len());
        let conditions = pool.status.iter().flat_map(|status| &status.conditions);
        let mut refusals = conditions.filter(|condition| {
            condition.type_ == "ValidMachineConfig"
                && condition.status == "False"
                && condition.message.contains(REFUSED_TAGS)
        });
        let refused = refusals.next().map(|condition| condition.message.clone());
        Self { stock, own: names, refused, beyond }
    }

    /// All ConfigMaps, those of `spec.config` first.
    pub fn config_maps(&self) -> impl Iterator<Item = &String> {
        self.stock.iter().chain(&self.own)
    }
}

/// The relevant fields of a NodePool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPool {
    /// The delivery in its annotation, if it has one.
    pub delivery: Option<Delivery>,
    /// The UID.
    pub uid: String,
    /// The release image of its nodes.
    pub release: Option<String>,
    /// The ConfigMaps that HyperShift and hypermirror read.
    pub config: PoolConfig,
}

impl From<&NodePool> for KnownPool {
    fn from(pool: &NodePool) -> Self {
        Self {
            delivery: Delivery::requested(pool).0,
            uid: pool.uid().unwrap_or_default(),
            release: pool.spec.release.as_ref().map(|release| release.image.clone()),
            config: PoolConfig::of(pool),
        }
    }
}

/// The mirrors in the configuration of one NodePool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSources {
    /// Mirrors of the node-pool layer, not validated yet.
    pub entries: MirrorEntries,
    /// Findings about ignored fields, and about documents that HyperShift changes.
    pub findings: Vec<Finding>,
    /// Problems, because of which ConfigMaps or documents are not used.
    pub problems: Vec<SourceTrouble>,
    /// The entries of `spec.config`; see [`Self::stock`].
    of_spec: MirrorEntries,
    /// The registries.conf and drop-ins in `MachineConfig`s of `spec.config`, ascending by path.
    pub files: Vec<NodeFile>,
    /// The signature policies in `spec.config`.
    pub policies: Vec<SignaturePolicy>,
    /// The ConfigMaps that cannot be used and have no last valid entries.
    pub lost: BTreeSet<String>,
    /// All its ConfigMaps, those of `spec.config` first.
    pub config_maps: Vec<String>,
    /// The ConfigMaps of `spec.config` with digest mirrors: HyperShift replaces nodes when they change.
    pub replacing: Vec<String>,
}

/// The last valid mirrors of each ConfigMap, by name.
pub type LastDocuments = BTreeMap<String, Arc<ConfigDocuments>>;

impl PoolSources {
    /// Combines the ConfigMaps of a NodePool. For an invalid ConfigMap, its last valid mirrors are used.
    ///
    /// `found` returns the state of a ConfigMap. The second value is the new set of last valid mirrors.
    pub fn new(
        namespace: &str,
        config: &PoolConfig,
        found: impl Fn(&str) -> ReferredConfig<ConfigDocuments>,
        last: &LastDocuments,
    ) -> (Self, LastDocuments) {
        let mut sources = Self { config_maps: config.config_maps().cloned().collect(), ..Self::default() };
        let mut in_force = LastDocuments::new();
        for name in config.config_maps() {
            let good = sources.refer(namespace, name, found(name));
            match good.or_else(|| last.get(name).cloned()) {
                Some(documents) => {
                    if config.stock.contains(name) {
                        sources.of_spec.add(&documents.entries);
                        // Keys that HyperShift does not read have no effect on nodes.
                        sources.files.extend(documents.files.iter().cloned());
                        sources.policies.extend(documents.policies.iter().cloned());
                        if documents.entries.iter().any(|entry| entry.pull_by == PullBy::Digest) {
                            sources.replacing.push(name.clone());
                        }
                    }
                    sources.entries.add(&documents.entries);
                    in_force.insert(name.clone(), documents);
                }
                None => {
                    sources.lost.insert(name.clone());
                }
            }
        }
        sources.files = node_files::in_force(sources.files);
        if config.beyond > 0 {
            let message = format!("{} ConfigMaps beyond the first {CONFIG_MAPS} are ignored", config.beyond);
            sources.problems.push(SourceTrouble { reason: Reason::BudgetExceeded, message });
        }
        if let Some(message) = &config.refused {
            let message = format!(
                "stock HyperShift rejects the tag mirrors in spec.config, and with them every change of it \
                 ({message}): move the ImageTagMirrorSet to a ConfigMap that annotation {} references",
                annotations::CONFIG
            );
            sources.problems.push(SourceTrouble { reason: Reason::RefusedByHyperShift, message });
        }
        (sources, in_force)
    }

    /// The entries that HyperShift writes to nodes itself: digest mirrors of `spec.config`.
    pub fn stock(&self) -> impl Iterator<Item = &MirrorEntry> {
        self.of_spec.iter().filter(|entry| entry.pull_by == PullBy::Digest)
    }

    fn refer(
        &mut self,
        namespace: &str,
        name: &str,
        found: ReferredConfig<ConfigDocuments>,
    ) -> Option<Arc<ConfigDocuments>> {
        let object = format!("ConfigMap {namespace}/{name}");
        let mut trouble = |reason, message| self.problems.push(SourceTrouble { reason, message: cut(message) });
        match found {
            ReferredConfig::Missing => trouble(Reason::ConfigMapMissing, format!("{object} does not exist")),
            ReferredConfig::Unreadable(why) => {
                trouble(Reason::SourceUnreadable, format!("failed to read {object}: {why}"));
            }
            ReferredConfig::TooLarge(why) => {
                trouble(
                    Reason::BudgetExceeded,
                    format!("{object} is not used: {why}; its last valid content stays in use"),
                );
            }
            ReferredConfig::Read(documents, _) => {
                self.findings.extend(documents.findings.iter().cloned());
                self.problems.extend(documents.problems.iter().cloned());
                return documents.has_mirrors_whole().then_some(documents);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
