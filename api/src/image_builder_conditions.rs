//! Condition types and reasons of an [`crate::image_builder::ImageBuilder`].

use crate::closed_set;

closed_set! {
    /// The conditions of an `ImageBuilder`.
    pub enum ImageBuilderConditionType {
        /// The image of this spec was pushed.
        Ready,
        /// The image is being built, or is tried again soon.
        Reconciling,
        /// Builds fail until somebody changes the ImageBuilder, a Secret, a registry or the cluster.
        Stalled,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum ImageBuilderReason {
        /// The image was pushed and read back.
        Built,
        /// Jobs are running.
        Building,
        /// A Job failed. `log` has the end of its log.
        BuildFailed,
        /// A Job did not end in time.
        DeadlineExceeded,
        /// The pod of a Job that succeeded was removed before its digest was read. The image is built again.
        ResultLost,
        /// What was pushed is no image of the architecture that it was built for.
        WrongImage,
        /// The spec has a value that cannot be used. The message names the field.
        InvalidSpec,
        /// The registry-manager's `--destination-allow` does not name the repository.
        DestinationNotAllowed,
        /// The registry-manager's own credentials must not be given to builds for this repository.
        CredentialsNotAllowed,
        /// The registry-manager may not create Jobs, ConfigMaps or Secrets in the namespace of builds, or read pods there.
        NamespaceForbidden,
        /// The API server refuses an object of the build.
        JobRejected,
        /// The API server did not answer.
        ApiUnavailable,
        /// The mirrors of the management cluster cannot be used.
        MirrorsUnusable,
        /// A referenced Secret does not exist.
        SecretMissing,
        /// A referenced Secret lacks a key, is of a type that is not allowed, or has an invalid value.
        SecretInvalid,
        /// The registry-manager may not read a referenced Secret.
        SecretForbidden,
        /// The API server did not return a referenced Secret.
        SecretUnreadable,
        /// The repository or an image does not exist, or is hidden from these credentials.
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
        /// The registry did not answer in time.
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

impl ImageBuilderReason {
    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether the same attempt may succeed soon without anybody doing anything.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ResultLost
                | Self::ApiUnavailable
                | Self::Throttled
                | Self::ServerError
                | Self::Unreachable
                | Self::Timeout
                | Self::Invalid
                | Self::CredentialsUnavailable
                | Self::SecretUnreadable
        )
    }

    /// Whether the result stays the same until the spec changes or somebody asks for another build.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Built | Self::BuildFailed | Self::DeadlineExceeded | Self::WrongImage | Self::InvalidSpec)
    }
}

#[cfg(test)]
mod tests {
    use super::ImageBuilderReason;
    use crate::ImageReason;

    #[test]
    fn each_reason_why_a_secret_or_registry_fails_is_one_of_a_build_too() {
        use ImageReason::{NoTagMatches, Succeeded, Suspended, TagsFailed, TooManyTags};
        let of_copies = [Succeeded, NoTagMatches, TagsFailed, TooManyTags, Suspended];
        for reason in ImageReason::ALL.iter().filter(|reason| !of_copies.contains(reason)) {
            assert!(ImageBuilderReason::parse(reason.as_str()).is_some(), "{reason:?}");
        }
    }

    #[test]
    fn no_reason_is_both_final_and_transient() {
        for reason in ImageBuilderReason::ALL {
            assert!(!(reason.is_final() && reason.is_transient()), "{reason:?}");
        }
    }
}
