//! The errors of a registry: `{"errors": [{"code", "message", "detail"}]}`, or whatever a proxy before it sends.

use serde::Deserialize;

use crate::printable;

/// What is read of a body that is only shown.
pub const MAX_ERROR_BYTES: usize = 64 * 1024;
/// What is shown of a message.
const MAX_MESSAGE: usize = 300;

/// A registry's own words, escaped and cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// `MANIFEST_UNKNOWN`, `TOOMANYREQUESTS`, …
    pub code: Option<String>,
    /// For people.
    pub message: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    errors: Option<Vec<RawError>>,
    // Token servers and object stores: {"details": …}, {"error": …, "error_description": …}, {"message": …}.
    #[serde(default)]
    details: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    error_description: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    code: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
}

impl ErrorBody {
    /// Reads a body. What is not JSON (HTML of a proxy) has no message: it helps nobody.
    pub fn parse(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(MAX_ERROR_BYTES)];
        let Ok(raw) = serde_json::from_slice::<Raw>(bytes) else { return Self::default() };
        if let Some(first) = raw.errors.and_then(|errors| errors.into_iter().next()) {
            return Self { code: text(first.code), message: text(first.message) };
        }
        let message = text(raw.error_description).or_else(|| text(raw.details)).or_else(|| text(raw.message));
        Self { code: text(raw.error), message }
    }

    /// Whether the registry gave this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(code))
    }
}

fn text(value: Option<serde_json::Value>) -> Option<String> {
    let text = match value? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => return None,
    };
    shown(&text)
}

/// A text of a registry on one line, without controls, and not too long. Nothing, if it is empty.
pub fn shown(text: &str) -> Option<String> {
    let text = text.trim();
    let mut cut: String = text.chars().take(MAX_MESSAGE).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    (!cut.is_empty()).then(|| printable::line(&cut).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_shown_escaped_and_cut() {
        let body = |text: &str| ErrorBody::parse(text.as_bytes());
        let known = body(r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no\u001b[2J", "detail": {}}]}"#);
        assert_eq!(known.message.as_deref(), Some("no\\u001b[2J"));
        assert!(known.is("manifest_unknown"));
        assert_eq!(
            body(r#"{"details": "incorrect username or password"}"#).message.unwrap(),
            "incorrect username or password"
        );
        let token = body(r#"{"error": "invalid_grant", "error_description": "expired"}"#);
        assert_eq!((token.code.unwrap(), token.message.unwrap()), ("invalid_grant".to_owned(), "expired".to_owned()));
        let long = body(&format!(r#"{{"message": "{}"}}"#, "x".repeat(1_000)));
        assert_eq!(long.message.unwrap().chars().count(), MAX_MESSAGE + 1);
        for nothing in ["", "<html>Too Many Requests", "[]", "{}", r#"{"errors": []}"#, r#"{"errors": null}"#] {
            assert_eq!(body(nothing), ErrorBody::default(), "{nothing}");
        }
    }
}
