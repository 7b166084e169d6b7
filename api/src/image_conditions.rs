//! Condition types and reasons of an [`crate::image::Image`].

use crate::closed_set;

closed_set! {
    /// The conditions of an `Image`.
    pub enum ImageConditionType {
        /// The last run succeeded.
        Ready,
        /// The last run failed and is tried again soon.
        Reconciling,
        /// Runs fail until somebody changes the Image, a Secret or a registry.
        Stalled,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum ImageReason {
        /// The destination has each tag as the source.
        Succeeded,
        /// No tag of the source matches the version.
        NoTagMatches,
        /// Some tags could not be copied. `tags` has the reason of each.
        TagsFailed,
        /// More tags match than `maxTags` allows. Nothing was copied.
        TooManyTags,
        /// `spec.suspend` is true.
        Suspended,
        /// The spec has a value that cannot be used. The message names the field.
        InvalidSpec,
        /// The registry-manager's `--destination-allow` does not name the destination.
        DestinationNotAllowed,
        /// The registry-manager's own credentials must not be sent to this registry.
        CredentialsNotAllowed,
        /// A referenced Secret does not exist.
        SecretMissing,
        /// A referenced Secret lacks a key, is of a type that is not allowed, or has an invalid value.
        SecretInvalid,
        /// The registry-manager may not read a referenced Secret.
        SecretForbidden,
        /// The API server did not return a referenced Secret.
        SecretUnreadable,
        /// The repository or tag does not exist, or is hidden from these credentials.
        NotFound,
        /// A registry rejects the credentials, or requires some.
        Unauthorized,
        /// The credentials do not suffice.
        Forbidden,
        /// A registry limits requests.
        Throttled,
        /// A registry answers with an error.
        ServerError,
        /// There is no connection to a registry.
        Unreachable,
        /// A registry did not answer, or the run did not end, in time.
        Timeout,
        /// A registry does not support a request.
        Unsupported,
        /// An address, a redirect or a size is not allowed.
        Refused,
        /// An answer of a registry is damaged or invalid.
        Invalid,
        /// Credentials could not be obtained.
        CredentialsUnavailable,
    }
}

impl ImageReason {
    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether the same run may succeed soon without anybody doing anything.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::TagsFailed
                | Self::Throttled
                | Self::ServerError
                | Self::Unreachable
                | Self::Timeout
                | Self::Invalid
                | Self::CredentialsUnavailable
                | Self::SecretUnreadable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::ImageReason;
    use crate::RegistryReason;

    #[test]
    fn each_reason_why_a_secret_or_registry_fails_is_one_of_an_image_too() {
        let of_scans = [RegistryReason::TagsUnreadable];
        for reason in RegistryReason::ALL.iter().filter(|reason| !of_scans.contains(reason)) {
            assert!(ImageReason::parse(reason.as_str()).is_some(), "{reason:?}");
        }
    }
}
