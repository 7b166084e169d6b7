//! Condition types and reasons of a [`crate::registry::Registry`].

use crate::closed_set;

closed_set! {
    /// The conditions of a `Registry`.
    pub enum RegistryConditionType {
        /// The last scan succeeded.
        Ready,
        /// The last scan failed and is tried again soon.
        Reconciling,
        /// Scans fail until somebody changes the Registry, a Secret or the registry.
        Stalled,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum RegistryReason {
        /// The last scan succeeded, and all tags could be read.
        Succeeded,
        /// The last scan succeeded, but some tags could not be read. `images` has the reason of each.
        TagsUnreadable,
        /// `spec.suspend` is true.
        Suspended,
        /// The spec has a value that cannot be used. The message names the field.
        InvalidSpec,
        /// A referenced Secret or ServiceAccount does not exist.
        SecretMissing,
        /// A referenced Secret lacks a key, is of a type that is not allowed, or has an invalid value.
        SecretInvalid,
        /// The registry-manager may not read a referenced Secret or ServiceAccount.
        SecretForbidden,
        /// The API server did not return a referenced Secret or ServiceAccount.
        SecretUnreadable,
        /// The repository does not exist, or is hidden from these credentials.
        NotFound,
        /// The registry rejects the credentials, or requires some.
        Unauthorized,
        /// The credentials do not suffice.
        Forbidden,
        /// The registry limits requests.
        Throttled,
        /// The registry answers with an error.
        ServerError,
        /// There is no connection to the registry.
        Unreachable,
        /// The registry did not answer, or the scan did not end, in time.
        Timeout,
        /// The registry does not support a request.
        Unsupported,
        /// An address, a redirect or a size is not allowed.
        Refused,
        /// An answer of the registry is damaged or invalid.
        Invalid,
        /// Credentials could not be obtained.
        CredentialsUnavailable,
    }
}
