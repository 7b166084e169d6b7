//! Usage errors that clap cannot detect.

use thiserror::Error;

/// Bad usage. The exit code is 2, as for clap's own errors.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// Creates the error.
    pub fn error(text: impl Into<String>) -> anyhow::Error {
        Self(text.into()).into()
    }
}
