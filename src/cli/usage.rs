//! Bad usage that the parser of the command line cannot see.

use thiserror::Error;

/// The command was called in a way that cannot be meant; exit code 2, as for the parser's own errors.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// An error with this text.
    pub fn error(text: impl Into<String>) -> anyhow::Error {
        Self(text.into()).into()
    }
}
