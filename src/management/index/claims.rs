//! Determines the owners of control-plane namespaces, and the HostedClusters for which nothing may be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hypermirror_api::annotations;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::{ClusterKey, Index};
use crate::fleet::claims::{Refusal, owners, refusal};

/// The relevant fields of a HostedControlPlane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneMeta {
    /// The control-plane namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Its creation time.
    pub created: Option<Timestamp>,
    /// `namespace/name` of its HostedCluster.
    pub owner: Option<String>,
}

impl ControlPlaneMeta {
    /// Reads the fields of an object or its metadata.
    pub fn of(object: &impl Resource) -> Self {
        let owner = object.annotations().get(annotations::HOSTED_CLUSTER);
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            created: object.creation_timestamp().map(|time| time.0),
            owner: owner.filter(|owner| !owner.is_empty()).cloned(),
        }
    }
}

/// All claims. A tenant can create thousands of names for one namespace, so the cost of each operation must not depend on their
/// number.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    claimants: HashMap<String, BTreeSet<ClusterKey>>,
    control_planes: HashMap<String, BTreeMap<String, ControlPlaneMeta>>,
    /// The owner of each namespace.
    owners: HashMap<String, ClusterKey>,
    refused: HashMap<ClusterKey, Refusal>,
    /// Whether the first lists are complete. Changes of ownership are logged from then on.
    complete: bool,
}

impl Claims {
    /// Why nothing may be written for a hosted cluster.
    pub fn refusal(&self, key: &ClusterKey) -> Option<&Refusal> {
        self.refused.get(key)
    }

    /// The hosted clusters for which nothing may be written, by name, with the message for administrators.
    pub fn refused(&self) -> BTreeMap<&ClusterKey, String> {
        self.refused.iter().map(|(key, refusal)| (key, self.explain(key, refusal))).collect()
    }

    /// The hosted cluster that owns a namespace.
    pub fn owner(&self, namespace: &str) -> Option<ClusterKey> {
        self.owners.get(namespace).cloned()
    }

    /// Adds a HostedCluster. This and the following methods return the hosted clusters whose ownership has changed.
    pub fn claim(&mut self, key: &ClusterKey) -> Vec<ClusterKey> {
        let namespace = key.control_plane_namespace();
        let claimants = self.claimants.entry(namespace.clone()).or_default();
        claimants.insert(key.clone());
        // A third claim has no effect on the first two. Deciding all again with each would be quadratic for a tenant that creates
        // thousands of them.
        let only = (claimants.len() > 2).then_some(key);
        self.decide(&namespace, only)
    }

    /// Removes a HostedCluster.
    pub fn release(&mut self, key: &ClusterKey) -> Vec<ClusterKey> {
        let namespace = key.control_plane_namespace();
        self.refused.remove(key);
        if self.owners.get(&namespace) == Some(key) {
            self.owners.remove(&namespace);
        }
        let left = self.claimants.get_mut(&namespace).map_or(0, |claimants| {
            claimants.remove(key);
            claimants.len()
        });
        match left {
            0 => self.claimants.remove(&namespace).map(|_| Vec::new()).unwrap_or_default(),
            1 => self.decide(&namespace, None),
            _ => Vec::new(), // there are still several claims
        }
    }

    /// Adds a HostedControlPlane.
    pub fn apply(&mut self, control_plane: ControlPlaneMeta) -> Vec<ClusterKey> {
        let namespace = control_plane.namespace.clone();
        let known = self.control_planes.entry(namespace.clone()).or_default();
        if known.get(&control_plane.name) == Some(&control_plane) {
            return Vec::new();
        }
        known.insert(control_plane.name.clone(), control_plane);
        self.decide(&namespace, None)
    }

    /// Removes a HostedControlPlane.
    pub fn remove(&mut self, control_plane: &ControlPlaneMeta) -> Vec<ClusterKey> {
        let namespace = &control_plane.namespace;
        if let Some(known) = self.control_planes.get_mut(namespace) {
            known.remove(&control_plane.name);
            if known.is_empty() {
                self.control_planes.remove(namespace);
            }
        }
        self.decide(namespace, None)
    }

    /// Replaces all HostedControlPlanes.
    pub fn replace(&mut self, control_planes: Vec<ControlPlaneMeta>) -> Vec<ClusterKey> {
        self.control_planes.clear();
        for control_plane in control_planes {
            let known = self.control_planes.entry(control_plane.namespace.clone()).or_default();
            known.insert(control_plane.name.clone(), control_plane);
        }
        let namespaces: Vec<String> = self.claimants.keys().cloned().collect();
        namespaces.iter().flat_map(|namespace| self.decide(namespace, None)).collect()
    }

    /// Records that the first lists are complete, and logs all hosted clusters for which nothing may be written.
    pub fn complete(&mut self) {
        self.complete = true;
        for key in self.refused.keys() {
            self.log(key);
        }
    }

    fn named_owners(&self, namespace: &str) -> BTreeSet<&str> {
        let control_planes = self.control_planes.get(namespace).into_iter().flat_map(BTreeMap::values);
        owners(control_planes.filter_map(|known| Some((known.created, known.owner.as_deref()?))))
    }

    /// Determines the ownership for all claimants of a namespace, or for one of them.
    fn decide(&mut self, namespace: &str, only: Option<&ClusterKey>) -> Vec<ClusterKey> {
        let Some(claimants) = self.claimants.get(namespace) else { return Vec::new() };
        // The annotation of the HostedControlPlane decides, because HyperShift wrote it for the HostedCluster that it created the
        // namespace for. Without one, a single claimant is the owner, and of several none is: a wrong guess would write the
        // mirrors of one tenant into the control plane of another.
        let owners = self.named_owners(namespace);
        let decide = |key: &ClusterKey| (key.clone(), refusal(&key.to_string(), &owners, claimants.len() == 1));
        let decided: Vec<_> = match only {
            Some(key) => vec![decide(key)],
            None => claimants.iter().map(decide).collect(),
        };
        let mut moved = Vec::new();
        for (key, now) in decided {
            match &now {
                None => drop(self.owners.insert(namespace.to_owned(), key.clone())),
                Some(_) if self.owners.get(namespace) == Some(&key) => drop(self.owners.remove(namespace)),
                Some(_) => {}
            }
            let before = match now.clone() {
                Some(refusal) => self.refused.insert(key.clone(), refusal),
                None => self.refused.remove(&key),
            };
            if before == now {
                continue;
            }
            if self.complete {
                self.log(&key);
            }
            moved.push(key);
        }
        moved
    }

    fn explain(&self, key: &ClusterKey, refusal: &Refusal) -> String {
        let namespace = key.control_plane_namespace();
        let claimants = self.claimants.get(&namespace).into_iter().flatten().map(ToString::to_string);
        let mut others: BTreeSet<String> = claimants.collect();
        others.extend(self.named_owners(&namespace).into_iter().map(str::to_owned));
        others.remove(&key.to_string());
        refusal.for_administrators(&namespace, &others.into_iter().collect::<Vec<_>>())
    }

    fn log(&self, key: &ClusterKey) {
        let namespace = key.control_plane_namespace();
        if let Some(refusal) = self.refused.get(key) {
            let why = self.explain(key, refusal);
            tracing::warn!(cluster = %key, namespace, why, "nothing is written: the control-plane namespace belongs to another HostedCluster");
        } else {
            tracing::info!(cluster = %key, namespace, "the HostedCluster owns its control-plane namespace again");
        }
    }
}

impl Index {
    /// Whether a hosted cluster owns its control-plane namespace. Otherwise nothing in it is read or written.
    pub fn owns_namespace(&self, key: &ClusterKey) -> bool {
        self.claims.refusal(key).is_none()
    }

    /// Adds a HostedControlPlane and returns the hosted clusters to reconcile.
    pub fn apply_control_plane(&mut self, control_plane: ControlPlaneMeta) -> Vec<ClusterKey> {
        let moved = self.claims.apply(control_plane);
        self.recount_moved(moved)
    }

    /// Removes a HostedControlPlane.
    pub fn remove_control_plane(&mut self, control_plane: &ControlPlaneMeta) -> Vec<ClusterKey> {
        let moved = self.claims.remove(control_plane);
        self.recount_moved(moved)
    }

    /// Replaces all HostedControlPlanes.
    pub fn replace_control_planes(&mut self, control_planes: Vec<ControlPlaneMeta>) -> Vec<ClusterKey> {
        let moved = self.claims.replace(control_planes);
        self.recount_moved(moved)
    }

    /// Hosted clusters without a namespace of their own have no slot of the rollout budget and do not count for removals.
    pub(super) fn recount_moved(&mut self, moved: Vec<ClusterKey>) -> Vec<ClusterKey> {
        self.revision += u64::from(!moved.is_empty());
        for key in &moved {
            self.recount(key);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};

    use super::super::guests::SecretMeta;
    use super::super::targets::TargetMeta;
    use super::*;
    use crate::fleet::rollout::{Budget, Rollouts};

    const SHARED: &str = "clusters-a-b";

    fn cluster(namespace: &str, name: &str) -> HostedCluster {
        let mut cluster = HostedCluster::new(name, HostedClusterSpec::default());
        cluster.metadata.namespace = Some(namespace.to_owned());
        cluster.metadata.uid = Some(format!("{namespace}/{name}"));
        cluster
    }

    fn victim() -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: "a-b".into() }
    }

    fn attacker() -> ClusterKey {
        ClusterKey { namespace: "clusters-a".into(), name: "b".into() }
    }

    fn control_plane(owner: &ClusterKey, created: i64) -> ControlPlaneMeta {
        ControlPlaneMeta {
            namespace: SHARED.into(),
            name: owner.name.clone(),
            created: Timestamp::from_second(created).ok(),
            owner: Some(owner.to_string()),
        }
    }

    fn target(generation: i64) -> TargetMeta {
        TargetMeta { namespace: SHARED.into(), uid: "u".into(), generation, rollout: None }
    }

    /// The victim's control plane is there, with a kubeconfig.
    fn index() -> Index {
        let mut index = Index::new(1);
        index.rollouts = Rollouts::new(Budget { at_once: 3, ..Budget::OFF });
        index.apply_cluster(cluster("clusters", "a-b"));
        index.apply_target(0, &target(1));
        index.guests.apply_secret(0, &SecretMeta { namespace: SHARED.into(), resource_version: "1".into() });
        index
    }

    fn sees(index: &Index, key: &ClusterKey) -> (bool, bool) {
        (index.targets_of(key)[0].meta.is_some(), index.kubeconfig(key).is_some())
    }

    #[test]
    fn a_second_claimant_gets_nothing_of_the_owner_and_the_owner_is_left_in_peace() {
        let mut index = index();
        assert!(index.apply_control_plane(control_plane(&victim(), 1)).is_empty(), "it owned it before");
        assert_eq!(index.apply_cluster(cluster("clusters-a", "b")), [attacker()]);
        assert_eq!(index.claims.refusal(&attacker()), Some(&Refusal::OwnedBy("clusters/a-b".into())));
        assert!(index.owns_namespace(&victim()));
        assert_eq!((sees(&index, &victim()), sees(&index, &attacker())), ((true, true), (false, false)));
        index.distrust_targets(&attacker());
        assert!(index.remove_cluster(&attacker()).is_empty());
        assert_eq!(index.apply_target(0, &target(2)), Some(victim()), "who stays is followed");
    }

    #[test]
    fn without_a_hosted_control_plane_neither_is_served_until_one_goes_or_one_is_named() {
        let mut index = index();
        let mut moved = index.apply_cluster(cluster("clusters-a", "b"));
        moved.sort();
        assert_eq!(moved, [victim(), attacker()]);
        assert_eq!((sees(&index, &victim()), sees(&index, &attacker())), ((false, false), (false, false)));
        assert_eq!(index.apply_target(0, &target(2)), None, "nobody looks at it");
        let mut moved = index.apply_control_plane(control_plane(&victim(), 1));
        moved.sort();
        assert_eq!(moved, [victim(), attacker()]);
        assert!(index.owns_namespace(&victim()) && !index.owns_namespace(&attacker()));
        assert_eq!(index.remove_control_plane(&control_plane(&victim(), 1)).len(), 2);
        assert_eq!(index.remove_cluster(&attacker()), [victim()]);
        assert!(index.owns_namespace(&victim()));
    }

    #[test]
    fn a_single_claimant_of_somebody_elses_control_plane_is_refused() {
        let mut index = Index::new(1);
        index.replace_control_planes(vec![control_plane(&victim(), 1)]);
        index.apply_cluster(cluster("clusters-a", "b"));
        assert!(!index.owns_namespace(&attacker()));
        assert_eq!(index.replace_control_planes(vec![control_plane(&attacker(), 2)]), [attacker()]);
        assert!(index.owns_namespace(&attacker()));
    }

    #[test]
    fn thousands_of_names_for_one_namespace_are_decided_one_by_one() {
        let names: Vec<String> = (0..1 << 10)
            .map(|bits| (0..10).map(|bit| if bits >> bit & 1 == 1 { "a." } else { "a-" }).collect())
            .collect();
        let mut index = Index::new(1);
        let mut moved = 0;
        for name in &names {
            moved += index.apply_cluster(cluster("clusters", &format!("{name}z"))).len();
        }
        assert_eq!(moved, names.len() + 1, "each once, and the first once more");
        let keys = index.keys();
        assert!(keys.iter().all(|key| !index.owns_namespace(key)));
        let messages = index.claims.refused();
        assert!(messages.len() == keys.len() && messages.values().all(|message| message.len() < 1000));
        let gone = keys.iter().skip(1).flat_map(|key| index.remove_cluster(key));
        assert_eq!(gone.collect::<Vec<_>>(), keys.get(..1).unwrap(), "only the last one hears of it");
        assert!(index.owns_namespace(&keys[0]));
    }

    #[test]
    fn a_second_claimant_holds_no_place_of_the_rollout_budget() {
        let mut index = index();
        index.apply_control_plane(control_plane(&victim(), 1));
        index.apply_cluster(cluster("clusters-a", "b"));
        let mark = Some("2026-01-01T00:00:00Z".parse().unwrap());
        index.apply_target(0, &TargetMeta { rollout: mark, ..target(2) });
        assert!(index.rollouts.in_flight(&victim()).is_some() && index.rollouts.in_flight(&attacker()).is_none());
        assert_eq!((index.last_rollout(&victim()).is_some(), index.last_rollout(&attacker())), (true, None));
        index.apply_control_plane(control_plane(&attacker(), 0));
        assert!(index.rollouts.in_flight(&victim()).is_none() && index.rollouts.in_flight(&attacker()).is_some());
    }
}
