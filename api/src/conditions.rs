//! Condition types and reasons: fixed sets, used in conditions, events and metric labels.

use crate::closed_set;

closed_set! {
    /// The conditions of a [`crate::HostedClusterMirrors`]. True is the healthy status of each.
    pub enum ConditionType {
        /// All objects that declare mirrors for this cluster were read and are valid.
        SourcesResolved,
        /// Every target Deployment has the desired override map.
        ControlPlaneUpToDate,
        /// All hypermirror objects in the guest cluster are up to date.
        GuestSynced,
        /// Every node of the guest cluster has applied its mirrors.
        NodesUpToDate,
        /// Every ConfigMap that a NodePool references was read and is valid.
        NodePoolConfigValid,
        /// New nodes can pull the agent and the release images with the mirrors that they boot with.
        BootstrapCovered,
        /// The annotations for OLM catalogs are valid, and the catalogs of the control plane match them. Set only if the
        /// HostedCluster has or had such an annotation.
        CatalogsValid,
        /// Registries hold everything that the hosted cluster needs, by its MirrorCoverage. Set only if it has one. `Ready` does
        /// not depend on it.
        MirrorsProven,
        /// All other conditions are True.
        Ready,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum Reason {
        /// Everything is as it should be.
        AsExpected,
        /// A mirror entry is invalid and is ignored. The message names it.
        InvalidEntries,
        /// An object that declares mirrors could not be decoded and is ignored.
        MalformedObject,
        /// A referenced ConfigMap does not exist. Its last valid content stays in use.
        ConfigMapMissing,
        /// A referenced ConfigMap has none of the expected keys. Its last valid content stays in use.
        ConfigMapKeyMissing,
        /// A referenced ConfigMap has invalid content. Its last valid content stays in use.
        ConfigMapInvalid,
        /// More mirrors are declared than a hosted cluster or namespace may have. The last valid content stays in use.
        BudgetExceeded,
        /// The HostedCluster CRD no longer has the field of the reference. The last reference stays in use.
        FieldPruned,
        /// The field and the annotation name different ConfigMaps. The field takes precedence.
        ReferenceConflict,
        /// Stock HyperShift rejects a document of a NodePool's configuration. The message describes the alternative.
        RefusedByHyperShift,
        /// The CRD of a mirror kind was removed. The last known entries stay in use.
        KindVanished,
        /// A mirror kind cannot be listed. The last known entries stay in use.
        SourceUnreadable,
        /// A target Deployment does not have the desired map yet.
        Updating,
        /// None of the target Deployments exists yet.
        TargetsMissing,
        /// Some, but not all, of the target Deployments exist.
        TargetsIncomplete,
        /// A target Deployment has no container of the expected name.
        ContainerMissing,
        /// The manager runs with `--mode=observe` and would change something in `enforce` mode.
        Observing,
        /// The change would empty the maps of too many hosted clusters at once. It waits for approval.
        RemovalHeld,
        /// Sources without a fallback wait until their mirrors are proven to hold what they decide (`--require-proof=enforce`).
        ProofMissing,
        /// The change is queued: `--max-concurrent-rollouts` hosted clusters are already rolling out.
        RolloutWaiting,
        /// Rollouts are halted: too many hosted clusters were not available within `--rollout-timeout`.
        RolloutHalted,
        /// The targets were patched and were not available within `--rollout-timeout`.
        RolloutFailed,
        /// A target is not available. The change waits until it is.
        TargetsUnavailable,
        /// The value exceeds the kernel's limit for one environment variable and was not written.
        ValueTooLarge,
        /// Another field manager removes the entries of hypermirror repeatedly. The next attempt is delayed.
        Contested,
        /// A write failed. The message has the API server's error.
        WriteFailed,
        /// The control-plane namespace belongs to another HostedCluster, or two claim it and none is named: nothing is written.
        NamespaceClaimedTwice,
        /// Writes for this hosted cluster are paused.
        Paused,
        /// A source is not in the appended argument because the stock argument has it already.
        SourceTaken,
        /// The control-plane namespace has no kubeconfig for the guest cluster yet.
        KubeconfigMissing,
        /// The kubeconfig of the guest cluster is invalid or has a field that is not allowed. The message names the field.
        KubeconfigRefused,
        /// The API server of the guest cluster does not respond.
        ConnectionDown,
        /// The certificate of the guest cluster's API server is not signed by the certificate authority in the kubeconfig.
        AuthorityUnknown,
        /// The client certificate in the kubeconfig has expired.
        CredentialsExpired,
        /// The API server of the guest cluster rejects the credentials in the kubeconfig.
        CredentialsRejected,
        /// An admission policy or webhook in the guest cluster denied a write.
        DeniedByGuest,
        /// RBAC in the guest cluster forbids a request.
        ForbiddenByGuest,
        /// A response of the guest cluster exceeds the size limit.
        AnswerTooLarge,
        /// A write to the guest cluster failed. The message has the error.
        PushFailed,
        /// The reconcile of the hosted cluster or of its guest cluster failed inside hypermirror. The manager's log has the details.
        WorkFailed,
        /// The image of the agent is unknown: `--agent-image` is not set and could not be detected.
        AgentImageMissing,
        /// The guest cluster does not serve admission policies, so an agent can write the status of other nodes.
        NodeIdentityUnverified,
        /// Some nodes have not confirmed their mirrors yet.
        NodesUpdating,
        /// A node could not apply its mirrors, or its container runtime did not load them.
        NodesFailing,
        /// Some nodes have no agent that reports their status.
        AgentsMissing,
        /// New nodes may be unable to pull the agent or the release images: they need a mirror that they do not boot with.
        BehindMirror,
        /// An annotation for OLM catalogs has an invalid value. The message names it.
        CatalogInvalid,
        /// An annotation for OLM catalogs has a value that HyperShift does not interpret consistently.
        CatalogAmbiguous,
        /// An annotation for OLM catalogs, or a part of it, has no effect.
        CatalogIneffective,
        /// The image of a catalog in the control plane differs from the annotations.
        CatalogDiffers,
        /// No admission is installed, so a change by a stock operator can cause a second rollout.
        NoAdmission,
        /// hypermirror is being removed from the hosted cluster.
        Leaving,
        /// The guest cluster, or some of its nodes, did not respond in time and keep their mirrors. The message names them.
        LeftBehind,
        /// A registry lacks images that the hosted cluster needs.
        ImagesMissing,
        /// It is not known whether registries hold all images that the hosted cluster needs.
        CoverageUnknown,
        /// The MirrorCoverage is outdated: the registry-manager does not check it any longer.
        CoverageStale,
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
