//! The content of a condition, before it is compared with the last report.

use hypermirror_api::Reason;

/// Maximum length of a message, below the API's limit for conditions (32,768).
pub const MESSAGE_BYTES: usize = 2048;

/// The content of a condition, without the time of its transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionState {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One of the reasons in docs/reference.md.
    pub reason: Reason,
    /// The message.
    pub message: String,
}

impl ConditionState {
    /// Creates a state with its message truncated at [`MESSAGE_BYTES`].
    pub fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: cut(message.into()) }
    }

    /// `True` and as expected.
    pub fn good(message: impl Into<String>) -> Self {
        Self::new("True", Reason::AsExpected, message)
    }
}

/// Truncates a message to [`MESSAGE_BYTES`].
pub fn cut(mut text: String) -> String {
    cut_at(&mut text, MESSAGE_BYTES);
    text
}

/// Truncates a text at a character boundary.
pub(super) fn cut_at(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes.saturating_sub(3)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// A problem of the sources that is not caused by a single entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrouble {
    /// `KindVanished`, `SourceUnreadable` or `MalformedObject`.
    pub reason: Reason,
    /// The object or kind, and the way out.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let condition = ConditionState::new("False", Reason::Updating, "ä".repeat(5000));
        assert!(condition.message.len() <= MESSAGE_BYTES && condition.message.ends_with('…'));
    }
}
