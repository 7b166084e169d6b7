//! What a condition says, before it is compared with what it said.

use hypermirror_api::Reason;

/// How long a message may get; the API's limit for conditions is 32,768.
pub const MESSAGE_BYTES: usize = 2048;

/// What a condition should say, before it is compared with what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// From the closed set.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

impl Verdict {
    /// A verdict with its message cut at [`MESSAGE_BYTES`].
    pub fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: cut(message.into()) }
    }

    /// `True` and as expected.
    pub fn good(message: impl Into<String>) -> Self {
        Self::new("True", Reason::AsExpected, message)
    }
}

/// A message that is not longer than [`MESSAGE_BYTES`].
pub fn cut(mut text: String) -> String {
    cut_at(&mut text, MESSAGE_BYTES);
    text
}

/// Cuts a text between characters.
pub(super) fn cut_at(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes.saturating_sub(3)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// Something about the sources that no single entry can be blamed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrouble {
    /// `KindVanished`, `SourceUnreadable` or `MalformedObject`.
    pub reason: Reason,
    /// The object or kind, and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let verdict = Verdict::new("False", Reason::Updating, "ä".repeat(5000));
        assert!(verdict.message.len() <= MESSAGE_BYTES && verdict.message.ends_with('…'));
    }
}
