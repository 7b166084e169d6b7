//! Condition types and reasons: closed sets, used for conditions, events and metric labels alike.

use serde::{Deserialize, Serialize};

/// An enum without data whose variants are named outside as they are in here.
macro_rules! closed_set {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$of:meta])* $variant:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            /// The name as it stands in a condition's `type` or `reason`, an event's `reason` and a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }
    };
}

closed_set! {
    /// The conditions of a [`crate::HostedClusterMirrors`]; all of positive polarity.
    pub enum ConditionType {
        /// Everything that declares mirrors for this cluster was read and is valid.
        SourcesResolved,
        /// Each target Deployment carries the override map that is wanted.
        ControlPlaneUpToDate,
        /// The guest has every object that it is given.
        GuestSynced,
        /// Every node of the guest has its mirrors.
        NodesUpToDate,
        /// Every ConfigMap of its NodePools' configuration was read and is valid.
        NodePoolConfigValid,
        /// A node that boots can pull the agent and the release without mirrors that it does not have yet.
        BootstrapCovered,
        /// What is annotated about OLM catalogs can be meant, and the catalogs of the control plane are as it says; only there
        /// where something is annotated, or was.
        CatalogsValid,
        /// All of the above.
        Ready,
    }
}

closed_set! {
    /// Why a condition has its status: the closed set of reasons.
    pub enum Reason {
        /// Everything is as it should be.
        AsExpected,
        /// A mirror entry is invalid and was left out; the message names it.
        InvalidEntries,
        /// An object that declares mirrors could not be decoded and was left out.
        MalformedObject,
        /// A ConfigMap that is referred to does not exist; what was last read stays in force.
        ConfigMapMissing,
        /// A ConfigMap that is referred to has none of the keys that are read; what was last read stays in force.
        ConfigMapKeyMissing,
        /// A ConfigMap that is referred to holds something that is not valid; what was last read stays in force.
        ConfigMapInvalid,
        /// The HostedCluster CRD has lost the field of the reference; the last reference stays in force.
        FieldPruned,
        /// The field and the annotation name different ConfigMaps; the field counts.
        ReferenceConflict,
        /// Stock HyperShift refuses a document of a NodePool's configuration; the message says what to do instead.
        RefusedByHyperShift,
        /// A mirror kind that was once there is gone; its last known entries stay in force.
        KindVanished,
        /// A mirror kind cannot be read now; its last known entries stay in force.
        SourceUnreadable,
        /// A target Deployment does not carry the wanted map yet.
        Updating,
        /// None of the target Deployments exists yet.
        TargetsMissing,
        /// Some, but not all, of the target Deployments exist.
        TargetsIncomplete,
        /// A target Deployment has no container of the expected name.
        ContainerMissing,
        /// The manager observes only, and something would change.
        Observing,
        /// The change would empty the maps of too many hosted clusters at once and waits for approval.
        RemovalHeld,
        /// As many hosted clusters as the rollout budget allows are changing already; the change waits for one to be back.
        RolloutWaiting,
        /// Too many rollouts are not back in time; no new one starts until they are.
        RolloutHalted,
        /// The targets were changed and are not back in time.
        RolloutFailed,
        /// A target was not available before the change, which waits until it is.
        TargetsUnavailable,
        /// The value is larger than the kernel takes for one environment variable and was not written.
        ValueTooLarge,
        /// Somebody takes our entry away again and again; it is left alone for a while.
        Contested,
        /// The API server refused or failed a write; the message says why.
        WriteFailed,
        /// Writes for this hosted cluster are paused.
        Paused,
        /// A source that the stock argument already has was left out of ours.
        SourceTaken,
        /// The hosted cluster is being deleted.
        Deleting,
        /// The control-plane namespace has no kubeconfig for the guest yet.
        KubeconfigMissing,
        /// The guest's kubeconfig says something that is not allowed, or is none; the message names the field.
        KubeconfigRefused,
        /// The guest's API server does not answer.
        ConnectionDown,
        /// The guest's API server shows a certificate that the kubeconfig's authority did not sign.
        AuthorityUnknown,
        /// The kubeconfig's client certificate is no longer valid.
        CredentialsExpired,
        /// The guest's API server refuses the kubeconfig's credentials.
        CredentialsRejected,
        /// An admission policy or webhook of the guest denied a write.
        DeniedByGuest,
        /// The guest's RBAC does not allow a request.
        ForbiddenByGuest,
        /// The guest answered with more than is read.
        AnswerTooLarge,
        /// A write to the guest failed; the message says why.
        PushFailed,
        /// The manager was not told which image the agent has (`--agent-image`).
        AgentImageMissing,
        /// The guest serves no admission policies: nothing holds an agent to its own node's status.
        NodeIdentityUnverified,
        /// Not every node has confirmed its mirrors yet.
        NodesUpdating,
        /// A node could not apply its mirrors, or its runtime did not read them.
        NodesFailing,
        /// Some nodes have no agent that reports.
        AgentsMissing,
        /// A node that boots may not be able to pull the agent or the release without a mirror that it does not have.
        BehindMirror,
        /// Mirrors are not delivered to these nodes (`hypermirror.dev/node-delivery: None`).
        DeliveryOff,
        /// An annotation about OLM catalogs has a value that cannot be meant; the message names it.
        CatalogInvalid,
        /// The value of an annotation about OLM catalogs means one thing or another, by chance.
        CatalogAmbiguous,
        /// An annotation about OLM catalogs, or a part of it, has no effect.
        CatalogIneffective,
        /// A catalog of the control plane has another image than the annotations say.
        CatalogDiffers,
        /// What is ours is being taken away.
        Leaving,
    }
}

impl Reason {
    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn a_reason_is_read_as_it_is_written() {
        assert_eq!(Reason::parse(Reason::ConnectionDown.as_str()), Some(Reason::ConnectionDown));
        assert_eq!(Reason::parse("Nonsense"), None);
    }
}
