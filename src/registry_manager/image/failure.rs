//! Why a run failed. Pure.

use hypermirror_api::ImageReason;
use jiff::Timestamp;

use super::super::status::ScanFailure;
use crate::registry::RegistryError;

/// Why a run, or one tag of it, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    /// For conditions, events and metrics.
    pub reason: ImageReason,
    /// For people.
    pub message: String,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
    /// The host that could not be reached.
    pub unreachable: Option<String>,
}

impl RunFailure {
    /// A failure of this reason.
    pub fn new(reason: ImageReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), throttled_until: None, unreachable: None }
    }
}

impl RunFailure {
    /// A failure at this end of an object. That of a Secret names a field of the end.
    #[must_use]
    pub fn at(self, end: &str) -> Self {
        use ImageReason::{SecretForbidden, SecretInvalid, SecretMissing, SecretUnreadable};
        let is_of_field = matches!(self.reason, SecretMissing | SecretInvalid | SecretForbidden | SecretUnreadable);
        if is_of_field { Self { message: format!("{end}.{}", self.message), ..self } } else { self }
    }
}

impl From<ScanFailure> for RunFailure {
    fn from(failure: ScanFailure) -> Self {
        let reason = ImageReason::parse(failure.reason.as_str()).unwrap_or(ImageReason::Invalid);
        Self { reason, message: failure.message, throttled_until: failure.throttled_until, unreachable: None }
    }
}

impl From<&RegistryError> for RunFailure {
    fn from(error: &RegistryError) -> Self {
        let failure = Self::from(ScanFailure::from(error));
        let is_unreachable = matches!(failure.reason, ImageReason::Unreachable | ImageReason::Timeout);
        let unreachable = is_unreachable.then(|| error.place.registry.clone());
        Self { unreachable, ..failure }
    }
}
