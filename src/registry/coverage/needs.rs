//! What a hosted cluster pulls, and who pulls it: from its objects and the payloads of its releases. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::hypershift::{AppliedRelease, HostedCluster, NodePool, VersionStatus};
use kube::ResourceExt as _;

use super::payload::PayloadImage;
use crate::digest::short_digest;
use crate::hosted::catalogs::requested::{Wanted, requested};
use crate::hosted::pool_config::KnownPool;
use crate::mirrors::ImageReference;

/// HyperShift's annotations of a HostedCluster that replace images (`api/hypershift/v1beta1/hostedcluster_types.go`).
const CONTROL_PLANE_OPERATOR_IMAGE: &str = "hypershift.openshift.io/control-plane-operator-image";
const IMAGE_OVERRIDES: &str = "hypershift.openshift.io/image-overrides";
/// Images of a payload that HyperShift's operators look up themselves (`ignition-server/controllers/local_ignitionprovider.go`,
/// `support/util/util.go`).
const LOOKED_UP: [&str; 4] = ["cluster-config-api", "cluster-config-operator", "hypershift", "machine-config-operator"];
const COMPLETED: &str = "Completed";
/// Digits of a digest that name a release for people.
const SHORT_DIGEST: usize = 19;

/// Who pulls an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// HyperShift's operators, which look images up with the override map of a control plane.
    LookUps,
    /// Pods of the control plane, on nodes of the management cluster.
    Pods,
    /// The nodes of a NodePool, or of a cluster without NodePools.
    Nodes(Option<String>),
}

impl Consumer {
    /// Its name in tables.
    pub fn name(&self) -> &str {
        match self {
            Self::LookUps => "look-ups",
            Self::Pods => "control-plane pods",
            Self::Nodes(None) => "nodes",
            Self::Nodes(Some(pool)) => pool,
        }
    }
}

/// An image, why it is needed and by whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The reference as it is declared.
    pub image: String,
    /// What it is a part of: `release 4.19.1`.
    pub group: String,
    /// Its name in that: `etcd`. Empty if it has none.
    pub name: String,
    /// Whether it is a release image, which HyperShift's operators look up by other rules.
    pub is_release: bool,
    /// Who pulls it.
    pub consumers: BTreeSet<Consumer>,
}

/// A release, whose payload is needed, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseNeed {
    /// The reference as it is declared, by tag or by digest.
    pub image: String,
    /// For people: `release 4.19.1`.
    pub group: String,
    /// Who pulls it.
    pub consumers: BTreeSet<Consumer>,
}

/// What a hosted cluster needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNeeds {
    /// The releases that it has, wants or is being updated to.
    pub releases: Vec<ReleaseNeed>,
    /// The releases that it can be updated to, with their versions. They are no need of today.
    pub updates: Vec<(String, ReleaseNeed)>,
    /// Images that are in no release.
    pub others: Vec<Need>,
    /// Images that replace those of a payload on the control plane, by their names in it.
    pub overrides: BTreeMap<String, String>,
}

impl ClusterNeeds {
    /// A digest of what it needs today, without the releases that it can be updated to.
    pub fn today(&self) -> String {
        short_digest(&format!("{:?} {:?} {:?}", self.releases, self.others, self.overrides))
    }
}

/// A NodePool, as far as it decides what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolNeeds {
    /// Its name.
    pub name: String,
    /// The release of its nodes.
    pub release: Option<String>,
}

impl From<&NodePool> for PoolNeeds {
    fn from(pool: &NodePool) -> Self {
        Self { name: pool.name_any(), release: pool.spec.release.as_ref().map(|release| release.image.clone()) }
    }
}

/// The NodePools of a hosted cluster.
pub fn of_pools(pools: &BTreeMap<String, KnownPool>) -> Vec<PoolNeeds> {
    let one = |(name, pool): (&String, &KnownPool)| PoolNeeds { name: name.clone(), release: pool.release.clone() };
    pools.iter().map(one).collect()
}

/// The consumers of a cluster: look-ups, pods, and the nodes of each pool.
pub fn consumers(pools: &[PoolNeeds]) -> BTreeSet<Consumer> {
    let mut all = of_nodes(pools);
    all.extend([Consumer::LookUps, Consumer::Pods]);
    all
}

fn of_nodes(pools: &[PoolNeeds]) -> BTreeSet<Consumer> {
    if pools.is_empty() {
        return BTreeSet::from([Consumer::Nodes(None)]);
    }
    pools.iter().map(|pool| Consumer::Nodes(Some(pool.name.clone()))).collect()
}

/// What a hosted cluster needs, by its own objects.
///
/// Its history counts up to the newest release that was applied completely: older ones are not pulled any more. Operators in the
/// guest cluster are part of the release of the cluster, and run on nodes of every pool.
pub fn of_cluster(cluster: &HostedCluster, pools: &[PoolNeeds]) -> ClusterNeeds {
    let control_plane = BTreeSet::from([Consumer::LookUps, Consumer::Pods]);
    let (nodes, all) = (of_nodes(pools), consumers(pools));
    let versions = Versions::of(cluster);
    let spec = &cluster.spec;
    let status = cluster.status.as_ref();
    let own = spec.control_plane_release.as_ref();
    let mut releases = BTreeMap::<String, BTreeSet<Consumer>>::new();
    let mut need = |image: &str, by: &BTreeSet<Consumer>| {
        if !image.is_empty() {
            releases.entry(image.to_owned()).or_default().extend(by.iter().cloned());
        }
    };
    if let Some(release) = &spec.release {
        need(&release.image, if own.is_some() { &nodes } else { &all });
    }
    if let Some(release) = own {
        need(&release.image, &control_plane);
    }
    let has_own_history = status.is_some_and(|status| status.control_plane_version.is_some());
    for applied in in_use(status.and_then(|status| status.version.as_ref())) {
        need(&applied.image, if has_own_history || own.is_some() { &nodes } else { &all });
    }
    for applied in in_use(status.and_then(|status| status.control_plane_version.as_ref())) {
        need(&applied.image, &control_plane);
    }
    for pool in pools {
        if let Some(image) = &pool.release {
            need(image, &BTreeSet::from([Consumer::Nodes(Some(pool.name.clone()))]));
        }
    }
    let release = |(image, consumers): (String, BTreeSet<Consumer>)| ReleaseNeed {
        group: versions.group(&image),
        image,
        consumers,
    };
    let updates = status.and_then(|status| status.version.as_ref()).map(|version| version.available_updates.as_slice());
    let update = |update: &hypermirror_api::hypershift::AvailableUpdate| {
        (update.version.clone(), release((update.image.clone(), all.clone())))
    };
    ClusterNeeds {
        updates: updates.unwrap_or_default().iter().filter(|update| !update.image.is_empty()).map(update).collect(),
        releases: releases.into_iter().map(release).collect(),
        others: catalogs(cluster).chain(own_operator(cluster)).collect(),
        overrides: overrides(cluster),
    }
}

/// The newest entries up to the first that is complete.
fn in_use(version: Option<&VersionStatus>) -> &[AppliedRelease] {
    let history = version.map(|version| version.history.as_slice()).unwrap_or_default();
    let end = history.iter().position(|applied| applied.state == COMPLETED).map_or(history.len(), |place| place + 1);
    history.get(..end).unwrap_or(history)
}

/// The catalogs that annotations name, which run on the management cluster and are looked up there.
fn catalogs(cluster: &HostedCluster) -> impl Iterator<Item = Need> {
    let images = match requested(cluster).map(|requested| requested.wanted) {
        Some(Wanted::Images(images)) => images,
        // Of registries only HyperShift knows the names of its catalogs in them.
        _ => BTreeMap::new(),
    };
    images.into_iter().map(|(catalog, image)| Need {
        image,
        group: "OLM catalogs".to_owned(),
        name: catalog.deployment().to_owned(),
        is_release: false,
        consumers: BTreeSet::from([Consumer::LookUps, Consumer::Pods]),
    })
}

fn own_operator(cluster: &HostedCluster) -> Option<Need> {
    let image = cluster.annotations().get(CONTROL_PLANE_OPERATOR_IMAGE).filter(|image| !image.is_empty())?;
    Some(Need {
        image: image.clone(),
        group: "annotated images".to_owned(),
        name: "control-plane-operator".to_owned(),
        is_release: false,
        consumers: BTreeSet::from([Consumer::LookUps, Consumer::Pods]),
    })
}

/// `NAME=IMAGE,…`, as HyperShift parses it; what is not of this form has no effect there.
fn overrides(cluster: &HostedCluster) -> BTreeMap<String, String> {
    let text = cluster.annotations().get(IMAGE_OVERRIDES).map(String::as_str).unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, image)| !name.is_empty() && !image.is_empty())
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

/// A release for which somebody asks, such as one that a cluster may be updated to.
pub fn release(image: &str, consumers: BTreeSet<Consumer>) -> ReleaseNeed {
    ReleaseNeed { image: image.to_owned(), group: Versions::default().group(image), consumers }
}

/// A release image and the images of its payload. `overrides` replace images on the control plane.
pub fn of_release(release: &ReleaseNeed, payload: &[PayloadImage], overrides: &BTreeMap<String, String>) -> Vec<Need> {
    let need = |image: String, name: &str, consumers: BTreeSet<Consumer>| Need {
        image,
        group: release.group.clone(),
        name: name.to_owned(),
        is_release: false,
        consumers,
    };
    let mut needs = vec![Need { is_release: true, ..need(release.image.clone(), "", release.consumers.clone()) }];
    for image in payload {
        let pulls = |consumer: &&Consumer| match consumer {
            Consumer::LookUps => LOOKED_UP.contains(&image.name.as_str()),
            Consumer::Pods | Consumer::Nodes(_) => true,
        };
        let by: BTreeSet<Consumer> = release.consumers.iter().filter(pulls).cloned().collect();
        let Some(replacement) = overrides.get(&image.name) else {
            needs.push(need(image.image.to_string(), &image.name, by));
            continue;
        };
        let (nodes, control_plane) = by.into_iter().partition(|consumer| matches!(consumer, Consumer::Nodes(_)));
        needs.push(need(image.image.to_string(), &image.name, nodes));
        needs.push(need(replacement.clone(), &image.name, control_plane));
    }
    needs.retain(|need| !need.consumers.is_empty());
    needs
}

/// Images of a list.
pub fn of_list(group: &str, images: impl IntoIterator<Item = String>, consumers: &BTreeSet<Consumer>) -> Vec<Need> {
    let need = |image| Need {
        image,
        group: group.to_owned(),
        name: String::new(),
        is_release: false,
        consumers: consumers.clone(),
    };
    // A list that has an image twice needs it once.
    images.into_iter().collect::<BTreeSet<String>>().into_iter().map(need).collect()
}

/// The versions that a cluster's status names.
#[derive(Default)]
struct Versions(BTreeMap<String, String>);

impl Versions {
    fn of(cluster: &HostedCluster) -> Self {
        let status = cluster.status.iter().flat_map(|status| [&status.version, &status.control_plane_version]);
        let mut known = BTreeMap::new();
        for version in status.flatten() {
            let applied = version.history.iter().map(|it| (&it.image, &it.version));
            let updates = version.available_updates.iter().map(|it| (&it.image, &it.version));
            let named = applied.chain(updates).filter(|(_, version)| !version.is_empty());
            known.extend(named.map(|(image, version)| (image.clone(), version.clone())));
        }
        Self(known)
    }

    /// `release VERSION`, or what else names it.
    fn group(&self, image: &str) -> String {
        let parsed = ImageReference::parse(image).ok();
        let digest = parsed.as_ref().and_then(|parsed| parsed.digest.as_deref());
        let name = match self.0.get(image) {
            Some(version) => version.as_str(),
            None => digest
                .and_then(|digest| digest.get(..SHORT_DIGEST))
                .or_else(|| parsed.as_ref().and_then(|parsed| parsed.tag.as_deref()))
                .unwrap_or(image),
        };
        format!("release {name}")
    }
}

#[cfg(test)]
mod tests;
