//! What is declared for the nodes of one guest; where it cannot be read and nobody remembers it, what the guest has.

use hypermirror_api::{NodeMirrorSet, names};

use crate::fleet::delivery::Delivery;
use crate::fleet::guest::node_entries;
use crate::guest::objects::SetInput;
use crate::guest::{GuestClient, GuestError, path};
use crate::manager::case::Case;
use crate::manager::context::Context;
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::of_node_mirror_set;

/// The hosted cluster's entries, and each of its NodePools.
pub(super) async fn declared(
    ctx: &Context,
    client: &GuestClient,
    case: &Case,
) -> Result<(Vec<MirrorEntry>, Vec<SetInput>), GuestError> {
    let known = ctx.index().guests.pools(&case.key);
    let entries = entries_of(client, names::CLUSTER_SET, &case.own.entries, case.own.is_lost).await?;
    let mut pools = Vec::new();
    for (name, pool) in known {
        let sources = case.pools.get(&name);
        let own = sources.map(|sources| sources.entries.as_slice()).unwrap_or_default();
        let is_lost = sources.is_some_and(|sources| sources.is_lost);
        let entries = entries_of(client, &names::node_pool_set(&name), own, is_lost).await?;
        let delivery = Delivery::of_pool(Delivery::of(&*case.object), pool.delivery);
        pools.push(SetInput { name, entries, delivered: delivery.is_by_agent() });
    }
    Ok((entries, pools))
}

/// The entries as nodes can have them; those of the set that stands there if what is declared is lost.
async fn entries_of(
    client: &GuestClient,
    set: &str,
    declared: &[MirrorEntry],
    is_lost: bool,
) -> Result<Vec<MirrorEntry>, GuestError> {
    let path = format!("{}/{set}", path::collection("NodeMirrorSet"));
    let stands = if is_lost { client.get::<NodeMirrorSet>(&path).await? } else { None };
    Ok(match stands {
        Some(stands) => of_node_mirror_set(set, &stands.spec),
        None => node_entries(declared).0,
    })
}
