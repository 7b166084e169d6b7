//! Determines whether new nodes can pull the agent's image: before it runs, they have only the mirrors of HyperShift.

use hypermirror_api::Reason;

use crate::guest::GuestClient;
use crate::guest::summary::Summary;
use crate::hosted::condition_state::ConditionState;
use crate::hosted::delivery::Delivery;
use crate::hosted::facts::ClusterFacts;
use crate::hosted::guest::{beyond_boot, node_entries};

/// The condition `BootstrapCovered`, from the mirrors and from pull errors of kubelets on nodes without a ready agent.
pub(super) async fn covered(
    client: &GuestClient,
    facts: &ClusterFacts,
    image: Option<&str>,
    summary: &Summary,
) -> ConditionState {
    let key = &facts.key;
    let cure = "let new nodes boot with the mirrors: annotation hypermirror.dev/node-delivery: AgentAndRollout";
    if !summary.silent.is_empty() {
        match client.agent_without_image(|node| summary.silent.contains(node)).await {
            Ok(None) => {}
            Ok(Some((node, why))) => {
                let message = format!("node {node} cannot pull the agent ({why}); {cure}");
                return ConditionState::new("False", Reason::BehindMirror, message);
            }
            Err(error) => tracing::debug!(cluster = %key, %error, "failed to list the pods of the agents"),
        }
    }
    let by_rollout = |pool: &String| facts.delivery_of_pool(pool).is_some_and(Delivery::is_by_rollout);
    if !facts.pools.is_empty() && facts.pools.keys().all(by_rollout) {
        return ConditionState::new("True", Reason::AsExpected, "all nodes boot with their mirrors");
    }
    if let Some(image) = image {
        let (entries, _) = node_entries(facts.own.entries.iter());
        if let Some(source) = beyond_boot(&entries, image) {
            let message = format!(
                "new nodes cannot pull {image}: {source} has NeverContactSource, and new nodes boot without its \
                 mirrors; {cure}"
            );
            return ConditionState::new("False", Reason::BehindMirror, message);
        }
    }
    ConditionState::new(
        "True",
        Reason::AsExpected,
        "new nodes can pull the agent image (judged from declared mirrors and pod status)",
    )
}
