//! Resolves the desired map: the management layer, overridden by the layer of one hosted cluster.

use std::collections::HashSet;
use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::MirrorConfigReport;
use hypermirror_api::{Reason, names};
use kube::ResourceExt;

use super::condition_state::SourceTrouble;
use super::entries::Entries;
use super::known::EntrySet;
use super::limits::{Budget, Weight};
use super::mirror_config::{MirrorConfig, MirrorReference};
use crate::digest::short_digest;
use crate::mirrors::entry::{self, MirrorEntries, MirrorEntry, PullBy};
use crate::mirrors::finding::Finding;
use crate::mirrors::hypershift::validate;
use crate::mirrors::overrides;
use crate::mirrors::{Layer, Mirror, Resolved, merge};

/// The kernel's limit for one environment variable, including name, `=` and NUL (Linux, `MAX_ARG_STRLEN`).
pub const MAX_VALUE_BYTES: usize = 128 * 1024;

/// A map and its formatted values.
#[derive(Clone, Debug)]
pub struct OverrideMap {
    /// Sources with mirrors, policy and origins.
    pub resolved: Resolved,
    /// The value of `OPENSHIFT_IMG_OVERRIDES`; `=` if empty.
    pub env: Entries,
    /// The entries of the value, to look them up.
    pub entries: Arc<EntrySet>,
}

impl Default for OverrideMap {
    fn default() -> Self {
        Self::new(Resolved::default())
    }
}

impl OverrideMap {
    /// Formats a map.
    pub fn new(resolved: Resolved) -> Self {
        let env = Entries::from(overrides::print_env(&resolved));
        let entries = Arc::new(env.iter().map(str::to_owned).collect());
        Self { resolved, env, entries }
    }
}

/// The mirrors of the management cluster.
#[derive(Clone, Debug, Default)]
pub struct ManagementLayer {
    /// The merged map, shared by all hosted clusters without their own mirrors.
    pub map: Arc<OverrideMap>,
    /// Invalid entries and warnings.
    pub findings: Vec<Finding>,
    /// All entries that come from the layer, desired or not: its current entries, those that only stock operators write, and its
    /// previous entries since the process started. An entry of a stock value in this set does not belong to another manager.
    pub explained: EntrySet,
    /// The value that stock operators write when they next read the cluster: without tag mirrors, mirrors sorted.
    pub stock_value: Entries,
    /// A digest of [`Self::stock_value`], which changes exactly when the stock operators have to read the cluster again.
    pub stock_digest: String,
}

impl ManagementLayer {
    /// Validates and merges the entries of ICSP, IDMS and ITMS.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry> + Clone) -> Self {
        let validated = validate(entries.clone());
        let stock_value = stock_value(entries);
        let map = OverrideMap::new(merge::merge_layer(&validated.entries));
        let explained = map.entries.iter().cloned().chain(stock_value.iter().map(str::to_owned)).collect();
        Self {
            map: Arc::new(map),
            explained,
            findings: validated.findings,
            stock_digest: short_digest(stock_value.as_str()),
            stock_value,
        }
    }
}

/// The format of HyperShift: digest entries only, empty ones skipped, mirrors sorted within a source, nothing merged
/// (HyperShift, `GetAllImageRegistryMirrors` and `ConvertOpenShiftImageRegistryOverridesToCommandLineFlag`).
fn stock_value<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> Entries {
    let digest = entries.into_iter().filter(|entry| entry.pull_by == PullBy::Digest && !entry.source.is_empty());
    let mut pairs: Vec<(&str, &str)> = digest
        .flat_map(|entry| entry.mirrors.iter().map(|mirror| (entry.source.as_str(), mirror.as_str())))
        .filter(|(_, mirror)| !mirror.is_empty())
        .collect();
    pairs.sort_unstable();
    overrides::print_pairs(pairs).into()
}

/// The map of one hosted cluster, and findings.
#[derive(Clone, Debug, Default)]
pub struct ClusterMap {
    /// The hosted-cluster layer merged over the management layer.
    pub map: Arc<OverrideMap>,
    /// Findings about the hosted cluster's own entries.
    pub findings: Arc<Vec<Finding>>,
}

/// Resolves the control-plane map of one hosted cluster from its own mirrors.
pub fn cluster_map(management: &ManagementLayer, own: &OwnSources, use_management: bool) -> ClusterMap {
    let map = merged_map(management, &own.entries, use_management);
    let findings = map.findings.iter().chain(&own.findings).cloned().collect();
    ClusterMap { findings: Arc::new(findings), ..map }
}

/// The same from its entries, with the same result for all hosted clusters with the same entries.
pub fn merged_map(management: &ManagementLayer, own: &MirrorEntries, use_management: bool) -> ClusterMap {
    if own.is_empty() && use_management {
        return ClusterMap { map: Arc::clone(&management.map), findings: Arc::default() };
    }
    let validated = validate(own.iter());
    let own = merge::merge_layer(until_too_large(&validated.entries));
    let resolved = if use_management { merge::overlay(&management.map.resolved, &own) } else { own };
    ClusterMap { map: Arc::new(OverrideMap::new(resolved)), findings: Arc::new(validated.findings) }
}

/// The entries up to the first that exceeds the limit of a value: a map that is rejected need not be resolved completely.
fn until_too_large(entries: &[MirrorEntry]) -> &[MirrorEntry] {
    let mut pairs = HashSet::new();
    let mut bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        let source = entry.source.as_str();
        for mirror in entry.mirrors.iter().map(String::as_str).filter(|mirror| !mirror.is_empty() && *mirror != source)
        {
            if pairs.insert((source, mirror)) {
                bytes += source.len() + mirror.len() + 2; // "=" and ","
            }
        }
        if bytes > MAX_VALUE_BYTES {
            return entries.get(..=index).unwrap_or(entries);
        }
    }
    entries
}

/// A map with the entries of current or reported values added. Their order is kept if possible.
pub fn carry_over(map: &OverrideMap, values: impl IntoIterator<Item = Entries>) -> OverrideMap {
    let mut resolved = map.resolved.clone();
    for value in values {
        for (name, mirrors) in overrides::ordered_mirrors(value.pairs()) {
            let source = resolved.sources.entry(name.to_owned()).or_default();
            let covers = source.all_mirrors().all(|mirror| mirrors.contains(&mirror));
            let known: Vec<String> = source.all_mirrors().map(str::to_owned).collect();
            let carried = mirrors.into_iter().filter(|carried| covers || known.iter().all(|known| known != carried));
            let carried = carried.map(|location| Mirror { location: location.to_owned(), ..Mirror::default() });
            if covers {
                source.digest_mirrors = carried.collect();
            } else {
                source.digest_mirrors.extend(carried);
            }
        }
    }
    OverrideMap::new(resolved)
}

/// The mirrors of a hosted cluster: `imageContentSources` and its ConfigMap of mirror sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSources {
    /// Its entries, not validated yet.
    pub entries: MirrorEntries,
    /// Findings about ignored fields and keys.
    pub findings: Vec<Finding>,
    /// Problems of entries that are not used.
    pub problems: Vec<SourceTrouble>,
    /// Its ConfigMap of mirror sets.
    pub reference: Option<MirrorConfigReport>,
    /// Whether a source cannot be used and has no last valid entries, so that no entry may be removed.
    pub is_lost: bool,
}

/// The state of a referenced ConfigMap.
#[derive(Debug, PartialEq, Eq)]
pub enum ReferredConfig<C> {
    /// It does not exist.
    Missing,
    /// It cannot be read, with the error.
    Unreadable(String),
    /// It exceeds the limits, with the error.
    TooLarge(String),
    /// Its content and its `resourceVersion`.
    Read(Arc<C>, String),
}

// Not derived, because the content is shared and need not be `Clone`.
impl<C> Clone for ReferredConfig<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::Unreadable(why) => Self::Unreadable(why.clone()),
            Self::TooLarge(why) => Self::TooLarge(why.clone()),
            Self::Read(config, version) => Self::Read(Arc::clone(config), version.clone()),
        }
    }
}

/// The last valid entries of a ConfigMap, and its `resourceVersion`.
pub type LastConfig = (Arc<MirrorConfig>, String);

impl OwnSources {
    /// With only `imageContentSources`.
    pub fn of_cluster(cluster: &HostedCluster) -> Self {
        Self { entries: hosted_cluster_entries(cluster).into(), ..Self::default() }
    }

    /// The same from parsed entries. Entries that exceed the budget are ignored.
    pub fn of_entries(entries: &Arc<[MirrorEntry]>, budget: &mut Budget) -> Self {
        let mut own = Self::default();
        match budget.reserve(Weight { mirrors: entry::weight(entries.iter()), bytes: 0 }) {
            Ok(()) => own.entries.add(entries),
            Err(why) => {
                own.is_lost = true;
                let message = format!(
                    "spec.imageContentSources is not used: {why}; its last valid content stays in \
                                       use"
                );
                own.problems.push(SourceTrouble { reason: Reason::BudgetExceeded, message });
            }
        }
        own
    }

    /// Adds the referenced ConfigMap, or its last valid entries if it cannot be used.
    ///
    /// Returns the new last valid entries.
    pub fn refer(
        &mut self,
        namespace: &str,
        reference: MirrorReference,
        found: ReferredConfig<MirrorConfig>,
        last: Option<&LastConfig>,
    ) -> Option<LastConfig> {
        let object = format!("ConfigMap {namespace}/{}", reference.name);
        let mut trouble = |reason, message| self.problems.push(SourceTrouble { reason, message });
        let good = match found {
            ReferredConfig::Read(config, version) => {
                self.findings.extend(config.findings.iter().cloned());
                self.problems.extend(config.problems.iter().cloned());
                config.problems.is_empty().then_some((config, version))
            }
            ReferredConfig::Missing => {
                trouble(Reason::ConfigMapMissing, format!("{object} does not exist"));
                None
            }
            ReferredConfig::Unreadable(why) => {
                trouble(Reason::SourceUnreadable, format!("failed to read {object}: {why}"));
                None
            }
            ReferredConfig::TooLarge(why) => {
                trouble(
                    Reason::BudgetExceeded,
                    format!("{object} is not used: {why}; its last valid content stays in use"),
                );
                None
            }
        };
        let in_force = good.or_else(|| last.cloned());
        self.is_lost |= in_force.is_none();
        if let Some((config, _)) = &in_force {
            self.entries.add(&config.entries);
        }
        let version = in_force.as_ref().map(|(_, version)| version.clone()).unwrap_or_default();
        self.reference = Some(MirrorConfigReport { name: reference.name, place: reference.place, in_force: version });
        in_force
    }
}

/// The entries of `imageContentSources`.
pub fn hosted_cluster_entries(cluster: &HostedCluster) -> Vec<MirrorEntry> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    entry::of_image_content_sources(&namespace, &name, &cluster.spec.image_content_sources, Layer::HostedCluster)
}

/// Whether a value fits into one environment variable.
pub fn fits(value: &Entries) -> bool {
    names::OVERRIDES_ENV.len() + value.as_str().len() + 2 <= MAX_VALUE_BYTES
}

#[cfg(test)]
mod tests;
