//! What can go wrong with the files of a layout.

use std::fmt;
use std::io;

use super::super::error::{Cause, Place, RegistryError};
use super::super::wire::digest::Digest;

/// A failed operation on a layout: `failed to VERB PLACE: cause`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to {operation} {place}: {trouble}")]
pub struct LayoutError {
    /// What was tried: `read the blob`.
    pub operation: &'static str,
    /// The layout, and the content of it.
    pub place: String,
    /// Why it failed.
    pub trouble: Trouble,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is not there.
    #[error("{0} is not there")]
    Missing(String),
    /// The operating system refuses. Contains its message.
    #[error("{0}")]
    Io(String),
    /// A file is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// The bytes are others than their name says.
    #[error("the content has the digest {actual}, not {expected}")]
    Digest {
        /// As it is named.
        expected: Digest,
        /// Of the bytes.
        actual: Digest,
    },
    /// Another process writes to the layout.
    #[error("another process writes to it")]
    Busy,
    /// Archives are written once.
    #[error("it exists, and archives are written once: remove it, or give another name")]
    Exists,
}

impl Trouble {
    /// Of the operating system; a file that is not there is missing.
    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(what.to_owned()),
            _ => Self::Io(format!("{what}: {error}")),
        }
    }

    pub(super) fn invalid(message: impl fmt::Display) -> Self {
        Self::Invalid(message.to_string())
    }
}

impl From<LayoutError> for RegistryError {
    fn from(error: LayoutError) -> Self {
        let LayoutError { operation, place, trouble } = error;
        let place = Place { registry: place, repository: String::new(), reference: None };
        let cause = match trouble {
            Trouble::Digest { expected, actual } => Cause::Digest { expected, actual },
            trouble => {
                Cause::Layout { is_missing: matches!(trouble, Trouble::Missing(_)), message: trouble.to_string() }
            }
        };
        Self { operation, place, cause }
    }
}
