//! The mirrors for the nodes of one guest cluster. While a source cannot be read, the entries in the guest cluster are kept.

use hypermirror_api::{NodeMirrorSet, names};

use crate::guest::objects::SetInput;
use crate::guest::{GuestClient, GuestError, path};
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::manager::heavy::Heavy;
use crate::manager::observe::Observation;
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::{MirrorEntries, of_node_mirror_set};

/// The entries of the hosted cluster and of its NodePools.
pub(super) async fn declared(
    heavy: &Heavy,
    client: &GuestClient,
    observed: &Observation,
) -> Result<(Vec<MirrorEntry>, Vec<SetInput>), GuestError> {
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
    Ok((entries, pools))
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
