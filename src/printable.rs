//! Escapes text so that it cannot control a terminal, a log viewer or an editor.
//!
//! Names, fields and messages come from untrusted users, such as owners of ConfigMaps and administrators of guest clusters.
//! Control characters can clear a screen or set its title, and bidirectional controls can reorder the displayed text. All
//! output for users is escaped here: console, conditions, events and logs.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Whether a terminal interprets a character instead of displaying it: C0, DEL and C1 controls, bidirectional controls, and
/// Unicode's line and paragraph separators.
pub const fn is_control(letter: char) -> bool {
    matches!(
        letter,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Escapes a text of several lines: line feeds and tabs are kept, every other control becomes `\u` and four hexadecimal
/// digits.
///
/// Escaped JSON has the same value, because serialized JSON has controls only in strings, where this is an escape sequence.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |letter| is_control(letter) && !matches!(letter, '\n' | '\t'))
}

/// Escapes a text for one line: line feeds, carriage returns and tabs become `\n`, `\r` and `\t`.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\n' if is_escaped(letter) => out.push_str("\\n"),
            '\r' if is_escaped(letter) => out.push_str("\\r"),
            '\t' if is_escaped(letter) => out.push_str("\\t"),
            _ if is_escaped(letter) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    Cow::Owned(out)
}

/// A value in which each string is escaped for one line. Returns the value itself if there is nothing to escape.
pub fn value<T: Serialize + DeserializeOwned>(value: T) -> T {
    // Most reports have nothing to escape, and this check is cheaper than a tree of values.
    let is_clean = |json: &str| !json.contains(is_control) && !json.contains('\\');
    if serde_json::to_string(&value).is_ok_and(|json| is_clean(&json)) {
        return value;
    }
    let Ok(mut tree) = serde_json::to_value(&value) else { return value };
    if !escape_tree(&mut tree) {
        return value;
    }
    serde_json::from_value(tree).unwrap_or(value)
}

/// Escapes each string and returns whether there was anything to escape. The type that the tree was built from limits its
/// depth.
fn escape_tree(tree: &mut Value) -> bool {
    let mut changed = false;
    match tree {
        Value::String(text) => {
            let escaped = match line(text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(escaped) => Some(escaped),
            };
            if let Some(escaped) = escaped {
                *text = escaped;
                changed = true;
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= escape_tree(item);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                changed |= escape_tree(field);
            }
            if fields.keys().any(|key| key.contains(is_control)) {
                let escaped = std::mem::take(fields).into_iter().map(|(key, field)| (line(&key).into_owned(), field));
                *fields = escaped.collect();
                changed = true;
            }
        }
        _ => {}
    }
    changed
}

/// A writer that escapes its input, for logs, which are written line by line.
#[derive(Debug)]
pub struct Printable<W> {
    inner: W,
    /// Whether escape sequences for colours are kept. The caller then escapes those in untrusted text.
    is_coloured: bool,
}

impl<W: io::Write> Printable<W> {
    /// Wraps a writer.
    pub const fn new(inner: W, is_coloured: bool) -> Self {
        Self { inner, is_coloured }
    }
}

impl<W: io::Write> io::Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let escaped = if self.is_coloured {
            escape(&text, |letter| is_control(letter) && !matches!(letter, '\n' | '\t' | '\u{1b}'))
        } else {
            lines(&text)
        };
        self.inner.write_all(escaped.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    /// One of each kind of control, and its escaped form.
    const CONTROLS: [(&str, &str); 14] = [
        ("\0", "\\u0000"),
        ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
        ("\u{1b}[2J", "\\u001b[2J"),
        ("\u{8}", "\\u0008"),
        ("\u{7f}", "\\u007f"),
        ("\u{85}", "\\u0085"),
        ("\u{9b}2J", "\\u009b2J"),
        ("\u{61c}", "\\u061c"),
        ("\u{200e}\u{200f}", "\\u200e\\u200f"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
        ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", "\\u202a\\u202b\\u202c\\u202d\\u202e"),
        ("\u{2066}\u{2067}\u{2068}\u{2069}", "\\u2066\\u2067\\u2068\\u2069"),
        ("a\u{1b}b", "a\\u001bb"),
    ];

    #[test]
    fn each_control_is_shown_and_not_obeyed() {
        for (text, expected) in CONTROLS {
            assert_eq!(lines(text), expected);
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in ["", "quay.io/a/b:v1", "ü 日本 …", "\u{200d}", "\\u001b"] {
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(lines("a\n\tb\r\n"), "a\n\tb\\r\n");
        assert_eq!(line("a\n\tb\r"), "a\\n\\tb\\r");
    }

    #[test]
    fn json_keeps_its_content() {
        let value = json!({"a\u{202e}\\": "x\u{9b}\\\u{2028}\n", "b": ["\u{1b}[2J", 1, null]});
        let printed = serde_json::to_string_pretty(&value).unwrap();
        let escaped = lines(&printed);
        assert!(!escaped.contains(|letter| is_control(letter) && letter != '\n'), "{escaped}");
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn values_are_escaped_in_each_text_and_key() {
        let hostile = json!({"k\u{202e}": ["a\nb", {"c": "\u{1b}"}], "d": 1});
        assert_eq!(value(hostile), json!({"k\\u202e": ["a\\nb", {"c": "\\u001b"}], "d": 1}));
        let honest = json!({"k": ["a", {"c": "b"}]});
        assert_eq!(value(honest.clone()), honest);
    }

    #[test]
    fn a_writer_escapes_its_output() {
        let mut plain = Vec::new();
        Printable::new(&mut plain, false).write_all("a\u{1b}[2J\u{202e}\n".as_bytes()).unwrap();
        assert_eq!(plain, b"a\\u001b[2J\\u202e\n");
        let mut coloured = Vec::new();
        Printable::new(&mut coloured, true).write_all("\u{1b}[31ma\u{202e}\n".as_bytes()).unwrap();
        assert_eq!(coloured, b"\x1b[31ma\\u202e\n");
    }
}
