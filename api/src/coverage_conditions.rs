//! Condition types and reasons of a [`crate::MirrorCoverage`].

use crate::closed_set;

closed_set! {
    /// The conditions of a `MirrorCoverage`.
    pub enum CoverageConditionType {
        /// The registries hold everything that the hosted cluster needs.
        Held,
        /// The last check is complete, and everything is held.
        Ready,
        /// Something is not known. It is checked again soon.
        Reconciling,
        /// Something is missing, or cannot be checked, until somebody changes it.
        Stalled,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum CoverageReason {
        /// Everything is held.
        AllHeld,
        /// The first registry that would answer lacks an image or a part of it, or no registry has it.
        ImagesMissing,
        /// The pull secret of the HostedCluster does not exist, is invalid, or may not be read.
        CredentialsNotReadable,
        /// The ConfigMap in `spec.additionalTrustBundle` does not exist, is invalid, or may not be read.
        AuthoritiesNotReadable,
        /// An object that declares mirrors or signature policies cannot be read, so that it is not known where images are pulled
        /// from.
        SourcesNotReadable,
        /// The payload of a release cannot be read, so that it is not known what the release needs.
        ReleaseNotReadable,
        /// A registry did not say whether it holds an image: it limits requests, refuses them, fails, or does not answer.
        RegistriesNotReadable,
        /// The check did not end in time.
        CheckTimeout,
    }
}
