//! The changes of watched objects as values. Watches create them, and one function records them and returns what follows.

use std::collections::BTreeSet;
use std::time::Instant;

use hypermirror_api::ClusterKey;

use super::Index;
use super::claims::ControlPlaneMeta;
use super::cluster::SeenCluster;
use super::coverages::SeenCoverage;
use super::guests::{SecretMeta, SeenPool};
use super::mirror_kinds::MirrorObject;
use super::reports::SeenReport;
use super::targets::TargetMeta;
use crate::client::optional_kind::Presence;
use crate::client::watch::{Failure, Update};
use crate::management::mirror_kind::MirrorKind;

/// An object of a kind whose schema the manager does not control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// Its content.
    Object(T),
    /// It exists and cannot be decoded: its last known state stays in use.
    Invalid {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// A change of mirror objects of the management cluster.
#[derive(Debug)]
pub enum MirrorChange {
    /// The CRD of the kind was installed or removed.
    Presence(Presence),
    /// The complete list.
    Listed(Vec<(String, MirrorObject)>),
    /// Objects were created or changed.
    Applied(Vec<(String, MirrorObject)>),
    /// An object was deleted.
    Deleted(String),
    /// The kind is restored: all other objects were deleted.
    Restored(BTreeSet<String>),
    /// The objects cannot be read.
    Failing(Failure, Instant),
}

/// A change of the watched state.
#[derive(Debug)]
pub enum Change {
    /// HostedClusters.
    HostedClusters(Update<Decoded<SeenCluster>>),
    /// HostedControlPlanes.
    HostedControlPlanes(Update<ControlPlaneMeta>),
    /// NodePools.
    NodePools(Update<Decoded<SeenPool>>),
    /// Deployments of the target with this index.
    Targets(usize, Update<TargetMeta>),
    /// Secrets with a kubeconfig, by preference.
    Kubeconfigs(usize, Update<SecretMeta>),
    /// MirrorCoverages.
    Coverages(Update<Decoded<SeenCoverage>>),
    /// Reports.
    Reports(Update<SeenReport>),
    /// Names and versions of the ConfigMaps of one namespace.
    ConfigMaps(String, Update<(String, String)>),
    /// No ConfigMap of this namespace is referenced any more.
    NoReferences(String),
    /// Whether the HostedCluster CRD has the field of the reference.
    ReferenceField(bool),
    /// Mirror objects of one kind.
    Mirrors(MirrorKind, MirrorChange),
    /// The mirror kinds in the annotation of the Lease.
    RecordedKinds(BTreeSet<MirrorKind>),
}

/// When the management layer has to be resolved again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Before anything is reconciled, which must not plan without a complete list.
    Now,
    /// Together with other edits of the same moment.
    Soon,
}

/// What follows from a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Hosted clusters to reconcile.
    pub clusters: Vec<ClusterKey>,
    /// Hosted clusters whose guest clusters have to be reconciled.
    pub guests: Vec<ClusterKey>,
    /// Whether other ConfigMaps may be referenced.
    pub references: bool,
    /// Whether the management layer has to be resolved again.
    pub resolve: Option<Resolve>,
    /// Whether HostedClusters have to be listed again.
    pub relist: bool,
}

impl Changed {
    /// Only these hosted clusters.
    fn clusters(clusters: Vec<ClusterKey>) -> Self {
        Self { clusters, ..Self::default() }
    }

    /// These hosted clusters with their guest clusters and references.
    fn both(clusters: Vec<ClusterKey>) -> Self {
        Self { guests: clusters.clone(), references: !clusters.is_empty(), clusters, ..Self::default() }
    }

    fn resolve_if(is_changed: bool, resolve: Resolve) -> Self {
        Self { resolve: is_changed.then_some(resolve), ..Self::default() }
    }
}

impl Index {
    /// Records a change.
    pub fn apply(&mut self, change: Change) -> Changed {
        match change {
            Change::HostedClusters(update) => self.apply_clusters(update),
            Change::HostedControlPlanes(update) => Changed::both(match update {
                Update::Replaced(list) => self.replace_control_planes(list),
                Update::Applied(control_plane) => self.apply_control_plane(control_plane),
                Update::Deleted(control_plane) => self.remove_control_plane(&control_plane),
                Update::Failing(_) => Vec::new(),
            }),
            Change::NodePools(update) => self.apply_pools(update),
            Change::Targets(place, update) => Changed::clusters(match update {
                Update::Replaced(list) => self.replace_targets(place, &list),
                Update::Applied(target) => self.apply_target(place, &target).into_iter().collect(),
                Update::Deleted(target) => self.remove_target(place, &target).into_iter().collect(),
                Update::Failing(_) => Vec::new(),
            }),
            Change::Kubeconfigs(place, update) => self.apply_kubeconfigs(place, update),
            Change::Coverages(update) => Changed::both(self.apply_coverages(update)),
            Change::Reports(update) => Changed::clusters(self.apply_reports(update)),
            Change::ConfigMaps(namespace, update) => self.apply_config_maps(&namespace, update),
            Change::NoReferences(namespace) => {
                self.config_maps.forget(&namespace);
                Changed::default()
            }
            Change::ReferenceField(is_served) if self.serve_reference_field(is_served) => {
                Changed { relist: is_served, ..self.all() }
            }
            Change::ReferenceField(_) => Changed::default(),
            Change::Mirrors(kind, change) => self.apply_mirrors(kind, change),
            Change::RecordedKinds(kinds) => Changed::resolve_if(self.mirrors.set_recorded(kinds), Resolve::Now),
        }
    }

    /// Everything has to be reconciled.
    pub fn all(&self) -> Changed {
        Changed { references: true, ..Changed::both(self.keys()) }
    }

    fn apply_clusters(&mut self, update: Update<Decoded<SeenCluster>>) -> Changed {
        let gone = |keys: Vec<ClusterKey>, changed| {
            let mut changed = Changed::both(changed);
            // The memory and the connections of their guest clusters are dropped.
            changed.guests.extend(keys);
            Changed { references: true, ..changed }
        };
        match update {
            Update::Replaced(list) => {
                let before = self.keys();
                let (clusters, invalid) = Decoded::split(list);
                let invalid = invalid.into_iter().map(|(namespace, name)| ClusterKey { namespace, name }).collect();
                let changed = self.replace_clusters(clusters, &invalid);
                gone(before.into_iter().filter(|key| self.cluster(key).is_none()).collect(), changed)
            }
            Update::Applied(Decoded::Object(cluster)) => Changed::both(self.apply_cluster(cluster)),
            Update::Deleted(cluster) => {
                let key = match cluster {
                    Decoded::Object(cluster) => cluster.key(),
                    Decoded::Invalid { namespace, name } => ClusterKey { namespace, name },
                };
                let changed = self.remove_cluster(&key);
                gone(vec![key], changed)
            }
            Update::Applied(Decoded::Invalid { .. }) | Update::Failing(_) => Changed::default(),
        }
    }

    /// Their configuration is part of the report, so hosted clusters are reconciled, too.
    fn apply_pools(&mut self, update: Update<Decoded<SeenPool>>) -> Changed {
        Changed::both(match update {
            Update::Replaced(list) => {
                let (pools, invalid) = Decoded::split(list);
                self.guests.replace_pools(pools, &invalid)
            }
            Update::Applied(Decoded::Object(pool)) => self.guests.apply_pool(pool),
            Update::Deleted(Decoded::Object(pool)) => vec![self.guests.remove_pool(&pool)],
            Update::Deleted(Decoded::Invalid { namespace, name }) => self.guests.remove_pool_named(&namespace, &name),
            Update::Applied(Decoded::Invalid { .. }) | Update::Failing(_) => Vec::new(),
        })
    }

    fn apply_kubeconfigs(&mut self, place: usize, update: Update<SecretMeta>) -> Changed {
        let namespaces = match update {
            Update::Replaced(list) => self.guests.replace_secrets(place, &list),
            Update::Applied(secret) => {
                let is_changed = self.guests.apply_secret(place, &secret);
                Vec::from_iter(is_changed.then_some(secret.namespace))
            }
            Update::Deleted(secret) => {
                self.guests.remove_secret(place, &secret.namespace);
                vec![secret.namespace]
            }
            Update::Failing(_) => Vec::new(),
        };
        let guests = namespaces.iter().filter_map(|namespace| self.claims.owner(namespace)).collect();
        Changed { guests, ..Changed::default() }
    }

    fn apply_reports(&mut self, update: Update<SeenReport>) -> Vec<ClusterKey> {
        let (seen, exists) = match update {
            Update::Replaced(list) => return self.replace_reports(list),
            Update::Applied(seen) => (seen, true),
            Update::Deleted(seen) => (seen, false),
            Update::Failing(_) => return Vec::new(),
        };
        let key = seen.key.clone();
        Vec::from_iter(self.see_report(seen, exists).then_some(key))
    }

    fn apply_coverages(&mut self, update: Update<Decoded<SeenCoverage>>) -> Vec<ClusterKey> {
        let changed = match update {
            Update::Replaced(list) => {
                let (seen, invalid) = Decoded::split(list);
                return self.coverages.replace(seen, &invalid);
            }
            Update::Applied(Decoded::Object(seen)) => self.coverages.apply(seen),
            Update::Deleted(Decoded::Object(seen)) => self.coverages.remove(seen.key().clone()),
            Update::Deleted(Decoded::Invalid { namespace, name }) => {
                self.coverages.remove(ClusterKey { namespace, name })
            }
            Update::Applied(Decoded::Invalid { .. }) | Update::Failing(_) => None,
        };
        Vec::from_iter(changed)
    }

    fn apply_config_maps(&mut self, namespace: &str, update: Update<(String, String)>) -> Changed {
        let changed = match update {
            Update::Replaced(list) => {
                let (changed, is_first) = self.config_maps.replace(namespace, list);
                // Hosted clusters have waited for the first list, also for ConfigMaps that do not exist.
                if is_first { self.referred_in(namespace) } else { changed }
            }
            Update::Applied((name, version)) => {
                let is_new = self.config_maps.apply(namespace, &name, &version);
                if is_new { BTreeSet::from([name]) } else { BTreeSet::new() }
            }
            Update::Deleted((name, _)) => {
                self.config_maps.remove(namespace, &name);
                BTreeSet::from([name])
            }
            Update::Failing(failure) => {
                let is_new = self.config_maps.fail(namespace, &failure.message);
                if is_new { self.referred_in(namespace) } else { BTreeSet::new() }
            }
        };
        Changed::both(self.referring(namespace, &changed))
    }

    fn apply_mirrors(&mut self, kind: MirrorKind, change: MirrorChange) -> Changed {
        let mirrors = &mut self.mirrors;
        match change {
            MirrorChange::Presence(presence) => {
                mirrors.set_presence(kind, presence);
                match presence {
                    Presence::Present => Changed::default(),
                    // All reports name a kind that was removed.
                    Presence::Absent => Changed { resolve: Some(Resolve::Soon), ..self.all() },
                }
            }
            MirrorChange::Listed(objects) => Changed::resolve_if(mirrors.replace(kind, objects), Resolve::Now),
            MirrorChange::Applied(objects) => {
                let mut is_changed = false;
                for (name, object) in objects {
                    is_changed |= mirrors.apply(kind, name, object);
                }
                Changed::resolve_if(is_changed, Resolve::Soon)
            }
            MirrorChange::Deleted(name) => Changed::resolve_if(mirrors.remove(kind, &name), Resolve::Soon),
            MirrorChange::Restored(names) => Changed::resolve_if(mirrors.keep_only(kind, &names), Resolve::Soon),
            MirrorChange::Failing(failure, now) => {
                if mirrors.refuse(kind, &failure, now) {
                    self.all()
                } else {
                    Changed::default()
                }
            }
        }
    }
}

impl<T> Decoded<T> {
    /// The objects of a list, and the namespaces and names of those that cannot be decoded.
    fn split(list: Vec<Self>) -> (Vec<T>, Vec<(String, String)>) {
        let (mut objects, mut invalid) = (Vec::with_capacity(list.len()), Vec::new());
        for decoded in list {
            match decoded {
                Self::Object(object) => objects.push(object),
                Self::Invalid { namespace, name } => invalid.push((namespace, name)),
            }
        }
        (objects, invalid)
    }
}

#[cfg(test)]
mod tests;
