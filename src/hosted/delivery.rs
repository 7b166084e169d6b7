//! The delivery of mirrors to nodes: by the agent, at boot with a rollout, both, or none.

use hypermirror_api::annotations;
use kube::ResourceExt;

/// The delivery of mirrors to nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// By the agent, without a restart of the node.
    #[default]
    Agent,
    /// In a MachineConfig that nodes boot with. Stock HyperShift replaces the nodes when it changes.
    Rollout,
    /// Both: nodes boot with their mirrors, and the agent updates them.
    AgentAndRollout,
    /// None.
    None,
}

impl Delivery {
    const ALL: [Self; 4] = [Self::Agent, Self::Rollout, Self::AgentAndRollout, Self::None];

    /// The value of the annotation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::Rollout => "Rollout",
            Self::AgentAndRollout => "AgentAndRollout",
            Self::None => "None",
        }
    }

    /// The value of an object's annotation. The second element is an invalid value, which is ignored.
    pub fn requested(object: &impl ResourceExt) -> (Option<Self>, Option<String>) {
        let Some(value) = object.annotations().get(annotations::NODE_DELIVERY) else { return (None, None) };
        match Self::ALL.into_iter().find(|delivery| delivery.as_str() == value) {
            Some(delivery) => (Some(delivery), None),
            None => (None, Some(value.clone())),
        }
    }

    /// The delivery of a HostedCluster.
    pub fn of(cluster: &impl ResourceExt) -> Self {
        Self::requested(cluster).0.unwrap_or_default()
    }

    /// The delivery of a NodePool. Its own annotation takes precedence, unless that of its HostedCluster is `None`.
    pub fn of_pool(cluster: Self, requested: Option<Self>) -> Self {
        if cluster == Self::None { cluster } else { requested.unwrap_or(cluster) }
    }

    /// Whether agents deliver the mirrors.
    pub const fn is_by_agent(self) -> bool {
        matches!(self, Self::Agent | Self::AgentAndRollout)
    }

    /// Whether nodes boot with the mirrors.
    pub const fn is_by_rollout(self) -> bool {
        matches!(self, Self::Rollout | Self::AgentAndRollout)
    }
}

/// The message for an invalid value.
pub fn invalid_delivery(value: &str) -> String {
    let key = annotations::NODE_DELIVERY;
    let known = Delivery::ALL.map(Delivery::as_str).join(", ");
    format!("annotation {key} has the invalid value {value:?} and is ignored; set it to one of {known}")
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};

    use super::*;

    #[test]
    fn an_invalid_delivery_is_reported() {
        let mut cluster = HostedCluster::new("west", HostedClusterSpec::default());
        assert_eq!(Delivery::requested(&cluster), (None, None));
        for (value, expected) in [
            ("None", (Some(Delivery::None), None)),
            ("AgentAndRollout", (Some(Delivery::AgentAndRollout), None)),
            ("rollout", (None, Some("rollout".to_owned()))),
        ] {
            cluster.annotations_mut().insert(annotations::NODE_DELIVERY.to_owned(), value.to_owned());
            assert_eq!(Delivery::requested(&cluster), expected);
        }
        assert_eq!(Delivery::of(&cluster), Delivery::Agent);
        assert!(invalid_delivery("rollout").contains("Agent, Rollout, AgentAndRollout, None"));
    }

    #[test]
    fn a_pool_counts_before_its_cluster_unless_that_wants_nothing() {
        use Delivery::{Agent, None as Nothing, Rollout};
        assert_eq!(Delivery::of_pool(Agent, Some(Rollout)), Rollout);
        assert_eq!(Delivery::of_pool(Rollout, None), Rollout);
        assert_eq!(Delivery::of_pool(Nothing, Some(Agent)), Nothing);
    }
}
