//! Where the nodes of a NodePool pull images from, by what is declared for them.

use super::node_mirrors::node_mirrors;
use super::objects::SetInput;
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::hosted::pool_config::PoolSources;
use crate::mirrors::{MirrorEntry, Resolved};
use crate::registry::coverage::demand::NodeRules;

/// The rules of the nodes of a NodePool, or of a hosted cluster without NodePools. `own` are the hosted cluster's own entries,
/// valid for nodes.
///
/// # Errors
/// Why no mirrors can be in effect on these nodes.
pub fn node_rules(
    own: &[MirrorEntry],
    pool: Option<&String>,
    delivery: Delivery,
    declared: &PoolSources,
) -> Result<NodeRules, String> {
    let (entries, _) = node_entries(declared.entries.iter());
    let pool = pool.map(|name| SetInput { name: name.clone(), entries, delivered: true });
    // Nodes that boot with the mirrors pull from the same places as those whose agent writes them.
    let set = if delivery.is_by_agent() || delivery.is_by_rollout() {
        node_mirrors(own, pool.as_ref()).map_err(|error| error.to_string())?.0
    } else {
        Resolved::default()
    };
    NodeRules::of_files(&set, &declared.files).map_err(|error| error.to_string())
}
