//! Recognises common mistakes in a manifest that cannot be parsed, and adds a hint to the error.

/// Messages of the YAML parser that usually mean wrong indentation.
const OF_INDENTATION: [&str; 4] = [
    "mapping values are not allowed in this context",
    "did not find expected key",
    "did not find expected '-' indicator",
    "block sequence entries are not allowed in this context",
];

/// Whether the text contains expressions of a template language: Go and Helm, Jinja and Ansible, or ERB.
pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "<%"].iter().any(|mark| text.contains(mark))
}

/// The parser's message, with a hint if the mistake is recognised.
pub(super) fn with_hint(message: &str, text: &str) -> String {
    let hint = if is_template(text) {
        "it looks like a template; render it first, for example with helm template"
    } else if text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        "YAML is indented with spaces, not with tabs"
    } else if OF_INDENTATION.iter().any(|known| message.contains(known)) {
        "check the indentation of this line and of the one before it"
    } else {
        return message.to_owned();
    };
    format!("{message}; {hint}")
}
