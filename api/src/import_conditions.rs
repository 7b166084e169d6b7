//! Condition types and reasons of an [`crate::ImportRule`].

use crate::closed_set;

closed_set! {
    /// The conditions of an `ImportRule`.
    pub enum ImportConditionType {
        /// Images are imported for pods that cannot pull them.
        Ready,
        /// Nothing is imported until somebody changes something.
        Stalled,
        /// `importsPerHour` images were imported: the next one waits.
        Limited,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum ImportReason {
        /// The rule is in force.
        InForce,
        /// `spec.suspend` is true.
        Suspended,
        /// The spec has a value that cannot be used. The message names the field.
        InvalidSpec,
        /// The registry-manager's `--destination-allow` does not name the destination.
        DestinationNotAllowed,
        /// The registry-manager's own credentials must not be sent to the source.
        CredentialsNotAllowed,
        /// The registry-manager's `--import-namespaces` does not name a namespace.
        NamespaceNotAllowed,
        /// The last import failed because a referenced Secret does not exist. The message names the field.
        SecretMissing,
        /// The same, because a referenced Secret lacks a key, is of a type that is not allowed, or has an invalid value.
        SecretInvalid,
        /// The same, because the registry-manager may not read a referenced Secret.
        SecretForbidden,
        /// The same, because the API server did not return a referenced Secret.
        SecretUnreadable,
        /// A pod needs an image that another rule covers, too. Neither imports it; other images are imported.
        RulesOverlap,
        /// The registry-manager may not watch the pods of a namespace, or the watch fails.
        PodsNotReadable,
        /// The mirrors of the cluster cannot be read, so it is not known where pods pull from.
        MirrorsNotReadable,
        /// `importsPerHour` is reached.
        RateLimit,
        /// `importsPerHour` is not reached.
        BelowLimit,
    }
}
