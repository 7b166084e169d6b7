//! The mirrors for the nodes of one guest cluster. While a source cannot be read, or is not proven, the entries in
//! the guest cluster are kept.

use std::borrow::Cow;

use hypermirror_api::{NodeMirrorSet, names};
use jiff::Timestamp;

use crate::guest::objects::SetInput;
use crate::guest::{GuestClient, GuestError, path};
use crate::hosted::delivery::Delivery;
use crate::hosted::facts::ClusterFacts;
use crate::hosted::guest::node_entries;
use crate::hosted::proof::held::HeldSources;
use crate::hosted::proof::nodes::{NodeSet, Unproven, keep_live, unproven};
use crate::hosted::proof::proofs::Proofs;
use crate::manager::heavy::Heavy;
use crate::manager::observe::Observation;
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::{MirrorEntries, of_node_mirror_set};

/// The mirrors of all sets.
pub(super) struct DeclaredSets {
    /// The entries of the hosted cluster.
    pub(super) entries: Vec<MirrorEntry>,
    /// Those of its NodePools.
    pub(super) pools: Vec<SetInput>,
    /// The sources that are held because their mirrors are not proven; the sets have what is live in their place.
    pub(super) held: HeldSources,
}

/// The entries of the hosted cluster and of its NodePools that may be live.
pub(super) async fn declared(
    heavy: &Heavy,
    client: &GuestClient,
    observed: &Observation,
    now: Timestamp,
) -> Result<DeclaredSets, GuestError> {
    let is_lost = |entry: &MirrorEntry| !entry.is_image_content_source();
    let valid = async |entries: &MirrorEntries| {
        let entries = entries.clone();
        heavy.compute_apart(&observed.load, move || node_entries(entries.iter()).0).await
    };
    let mut entries = valid(&observed.facts.own.entries).await;
    if observed.facts.own.is_lost {
        entries.extend(current_entries(client, names::CLUSTER_SET, is_lost).await?);
    }
    let mut pools = Vec::new();
    for name in observed.facts.pools.keys() {
        let sources = observed.facts.pool_sources.get(name).cloned().unwrap_or_default();
        let mut entries = valid(&sources.entries).await;
        if !sources.lost.is_empty() {
            let is_lost = |entry: &MirrorEntry| sources.lost.contains(&entry.origin.name);
            entries.extend(current_entries(client, &names::node_pool_set(name), is_lost).await?);
        }
        let delivered = observed.facts.delivery_of_pool(name).is_some_and(Delivery::is_by_agent);
        pools.push(SetInput { name: name.clone(), entries, delivered });
    }
    let mut sets = DeclaredSets { entries, pools, held: HeldSources::default() };
    hold(client, &observed.facts, &mut sets, now).await?;
    Ok(sets)
}

/// Replaces sources that are not proven by what is live, which is read only if there are any.
async fn hold(
    client: &GuestClient,
    facts: &ClusterFacts,
    sets: &mut DeclaredSets,
    now: Timestamp,
) -> Result<(), GuestError> {
    let proofs = Proofs::of(facts, now);
    let of_cluster = NodeSet { pool: None, entries: &sets.entries };
    let delivered = sets.pools.iter().filter(|pool| pool.delivered);
    let of_pools = delivered.map(|pool| NodeSet { pool: Some(&pool.name), entries: &pool.entries });
    let unproven = unproven(&proofs, &std::iter::once(of_cluster).chain(of_pools).collect::<Vec<_>>());
    let of = |pool: Option<&str>| -> Vec<&Unproven> {
        unproven.iter().filter(|unproven| unproven.pool.as_deref() == pool).collect()
    };
    // What is live is read from the guest cluster each time: a memory would not survive a restart, and the next leader would find
    // the unproven sources new.
    let mut held = Vec::new();
    let in_cluster = of(None);
    if !in_cluster.is_empty() {
        let live = current_entries(client, names::CLUSTER_SET, |_| true).await?;
        held.extend(keep_live(&mut sets.entries, &live, &in_cluster));
    }
    for pool in &mut sets.pools {
        let in_pool = of(Some(&pool.name));
        if !in_pool.is_empty() {
            let live = current_entries(client, &names::node_pool_set(&pool.name), |_| true).await?;
            held.extend(keep_live(&mut pool.entries, &live, &in_pool));
        }
    }
    sets.held = HeldSources { sources: held, cause: proofs.cause.map(Cow::into_owned) };
    Ok(())
}

/// The entries of a set in the guest cluster whose source cannot be read.
async fn current_entries(
    client: &GuestClient,
    set: &str,
    is_lost: impl Fn(&MirrorEntry) -> bool,
) -> Result<Vec<MirrorEntry>, GuestError> {
    let path = format!("{}/{set}", path::collection("NodeMirrorSet"));
    let current = client.get::<NodeMirrorSet>(&path).await?;
    let entries = current.map(|current| of_node_mirror_set(set, &current.spec)).unwrap_or_default();
    Ok(entries.into_iter().filter(is_lost).collect())
}
