//! What is declared for the nodes of one guest; where it cannot be read and nobody remembers it, what the guest has.

use hypermirror_api::{NodeMirrorSet, names};

use crate::guest::objects::SetInput;
use crate::guest::{GuestClient, GuestError, path};
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::manager::case::Case;
use crate::manager::context::Context;
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::{Entries, of_node_mirror_set};

/// The hosted cluster's entries, and each of its NodePools.
pub(super) async fn declared(
    ctx: &Context,
    client: &GuestClient,
    case: &Case,
) -> Result<(Vec<MirrorEntry>, Vec<SetInput>), GuestError> {
    let known = ctx.index().guests.pools(&case.key);
    let is_lost = |entry: &MirrorEntry| !entry.is_image_content_source();
    let valid = async |entries: &Entries| {
        let entries = entries.clone();
        ctx.heavy.compute_apart(&case.load, move || node_entries(entries.iter()).0).await
    };
    let mut entries = valid(&case.own.entries).await;
    if case.own.is_lost {
        entries.extend(standing(client, names::CLUSTER_SET, is_lost).await?);
    }
    let mut pools = Vec::new();
    for (name, pool) in known {
        let sources = case.pools.get(&name).cloned().unwrap_or_default();
        let mut entries = valid(&sources.entries).await;
        if !sources.lost.is_empty() {
            let is_lost = |entry: &MirrorEntry| sources.lost.contains(&entry.origin.name);
            entries.extend(standing(client, &names::node_pool_set(&name), is_lost).await?);
        }
        let delivery = Delivery::of_pool(Delivery::of(&*case.object), pool.delivery);
        pools.push(SetInput { name, entries, delivered: delivery.is_by_agent() });
    }
    Ok((entries, pools))
}

/// Those entries of a set in the guest whose source cannot be read.
async fn standing(
    client: &GuestClient,
    set: &str,
    is_lost: impl Fn(&MirrorEntry) -> bool,
) -> Result<Vec<MirrorEntry>, GuestError> {
    let path = format!("{}/{set}", path::collection("NodeMirrorSet"));
    let stands = client.get::<NodeMirrorSet>(&path).await?;
    let entries = stands.map(|stands| of_node_mirror_set(set, &stands.spec)).unwrap_or_default();
    Ok(entries.into_iter().filter(is_lost).collect())
}
