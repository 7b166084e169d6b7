//! Why a build failed. Pure.

use hypermirror_api::ImageBuilderReason;
use jiff::Timestamp;

use super::super::image::failure::RunFailure;
use super::super::status::ScanFailure;
use crate::registry::RegistryError;

/// Why a build failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure {
    /// For conditions, events and metrics.
    pub reason: ImageBuilderReason,
    /// For people.
    pub message: String,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
    /// The host that could not be reached.
    pub unreachable: Option<String>,
}

impl BuildFailure {
    /// A failure of this reason.
    pub fn new(reason: ImageBuilderReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), throttled_until: None, unreachable: None }
    }

    /// A field that cannot be used.
    pub fn invalid(field: &str, error: impl std::fmt::Display) -> Self {
        Self::new(ImageBuilderReason::InvalidSpec, format!("{field}: {error}"))
    }
}

impl From<RunFailure> for BuildFailure {
    fn from(failure: RunFailure) -> Self {
        let reason = ImageBuilderReason::parse(failure.reason.as_str()).unwrap_or(ImageBuilderReason::Invalid);
        let RunFailure { message, throttled_until, unreachable, .. } = failure;
        Self { reason, message, throttled_until, unreachable }
    }
}

impl From<ScanFailure> for BuildFailure {
    fn from(failure: ScanFailure) -> Self {
        RunFailure::from(failure).into()
    }
}

impl From<&RegistryError> for BuildFailure {
    fn from(error: &RegistryError) -> Self {
        RunFailure::from(error).into()
    }
}
