//! Parses the TOML of registries.conf as `github.com/BurntSushi/toml` v1.5 decodes it into Go structs.
//!
//! It differs from a current TOML parser in three ways: keys are not case-sensitive, a byte-order mark is rejected (as
//! in releases before 1.3), and syntax of TOML 1.1 is rejected.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FileError;
use super::dialect::refuse_later_toml;
use super::error::{line_of, line_of_byte};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A table with its text and, for messages, its path.
#[derive(Clone)]
pub(super) struct Section<'t> {
    text: &'t str,
    table: &'t DeTable<'t>,
    path: String,
}

/// Parses a file and passes its top-level table to `read`.
pub(super) fn with_document<T>(
    content: &[u8],
    read: impl FnOnce(Section<'_>) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let byte = content.get(error.valid_up_to()).copied().unwrap_or_default();
        let line = line_of_byte(content, error.valid_up_to());
        FileError::Syntax { line, message: format!("invalid UTF-8 byte: 0x{byte:02x}") }
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(FileError::Syntax { line: 1, message: "files must not start with a byte-order mark".to_owned() });
    }
    if let Some(at) = text.find('\0') {
        let message = "files cannot contain NULL bytes".to_owned();
        return Err(FileError::Syntax { line: line_of(text, at), message });
    }
    let document = DeTable::parse(text).map_err(|error| FileError::Syntax {
        line: line_of(text, error.span().unwrap_or_default().start),
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    refuse_later_toml(text, document.get_ref())?;
    read(Section { text, table: document.get_ref(), path: String::new() })
}

impl<'t> Section<'t> {
    /// The value of a key, regardless of upper and lower case (`unifyStruct`: `strings.EqualFold`).
    ///
    /// Two matching keys are an error: Go's decoder selects one at random because of the order of its maps.
    fn value(&self, name: &str) -> Result<Option<&'t Spanned<DeValue<'t>>>, FileError> {
        let mut found = self.table.iter().filter(|(key, _)| folds_to(key.get_ref(), name));
        let value = found.next();
        match found.next() {
            Some((key, _)) => Err(FileError::AmbiguousKey { line: self.line(&key.span()), key: self.join(name) }),
            None => Ok(value.map(|(_, value)| value)),
        }
    }

    /// A string. Empty if the key is absent, which is equivalent upstream.
    pub(super) fn string(&self, name: &str) -> Result<String, FileError> {
        match self.value(name)? {
            None => Ok(String::new()),
            Some(value) => self.as_string(name, value),
        }
    }

    /// A boolean. False if the key is absent.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, FileError> {
        let Some(value) = self.value(name)? else { return Ok(false) };
        value.get_ref().as_bool().ok_or_else(|| self.mismatch(name, value, "boolean"))
    }

    /// A list of strings. `None` if the key is absent, which differs from an empty list.
    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, FileError> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let list = value.get_ref().as_array().ok_or_else(|| self.mismatch(name, value, "slice"))?;
        list.iter().map(|item| self.as_string(name, item)).collect::<Result<_, _>>().map(Some)
    }

    /// A list of tables. `None` if the key is absent.
    pub(super) fn sections(&self, name: &str) -> Result<Option<Vec<Section<'t>>>, FileError> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let list = value.get_ref().as_array().ok_or_else(|| self.mismatch(name, value, "slice"))?;
        list.iter().map(|item| self.as_section(name, item)).collect::<Result<_, _>>().map(Some)
    }

    /// A table. `None` if the key is absent.
    pub(super) fn section(&self, name: &str) -> Result<Option<Section<'t>>, FileError> {
        self.value(name)?.map(|value| self.as_section(name, value)).transpose()
    }

    /// All keys as written, with their string values.
    pub(super) fn all_strings(&self) -> Result<Vec<(String, String)>, FileError> {
        let pairs = self.table.iter();
        pairs.map(|(key, value)| Ok((key.get_ref().to_string(), self.as_string(key.get_ref(), value)?))).collect()
    }

    fn as_string(&self, name: &str, value: &Spanned<DeValue<'t>>) -> Result<String, FileError> {
        let text = value.get_ref().as_str().ok_or_else(|| self.mismatch(name, value, "string"))?;
        Ok(text.to_owned())
    }

    fn as_section(&self, name: &str, value: &'t Spanned<DeValue<'t>>) -> Result<Section<'t>, FileError> {
        let table = value.get_ref().as_table().ok_or_else(|| self.mismatch(name, value, "table"))?;
        Ok(Section { text: self.text, table, path: self.join(name) })
    }

    fn mismatch(&self, name: &str, value: &Spanned<DeValue<'t>>, expected: &'static str) -> FileError {
        let found = value.get_ref().type_str();
        FileError::Type { line: self.line(&value.span()), key: self.join(name), found, expected }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        line_of(self.text, span.start)
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// Whether a key equals a name under Unicode's simple case folding. Only two non-ASCII letters fold to ASCII.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars())
}
