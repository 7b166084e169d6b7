//! Parses Kubernetes manifests: YAML with several documents, or JSON. Lists are split into their items.

mod hint;
mod limits;
mod scan;
mod split;
mod value;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use self::limits::Refusal;
use self::split::{Lines, split};

/// Why a manifest cannot be parsed or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Not valid YAML or JSON. The line in the message is relative to the whole text.
    #[error("{text}, document {document}: not valid {format}: {message}")]
    Syntax {
        /// The text's name.
        text: Arc<str>,
        /// The document's number, starting at 1.
        document: usize,
        /// `YAML` or `JSON`.
        format: &'static str,
        /// The parser's message.
        message: String,
    },
    /// A field has another type than its kind defines.
    #[error("{field}: {message}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Field {
        /// Its path.
        field: String,
        /// The error.
        message: String,
        /// Its line in the whole text, starting at 1, if it is known.
        line: Option<usize>,
    },
}

/// The position of a document, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text's name: a file as passed by the user, or an object and its key.
    pub file: Arc<str>,
    /// The document's number, starting at 1.
    pub document: usize,
    /// Its first line, starting at 1.
    pub line: usize,
    /// The number of the item, starting at 1, if the document is a list.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {} (line {})", self.file, self.document, self.line)?;
        self.item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

/// One Kubernetes object that is parsed and not yet decoded.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its position.
    pub place: Place,
    /// The object.
    pub value: Value,
    /// Its text, to find the line of an error. `None` for items of a list.
    text: Option<Arc<str>>,
}

impl Document {
    /// The string at a JSON pointer.
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    /// A field of the object as a separate document at the same position.
    pub fn field(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name)?.clone();
        Some(Self { place: self.place.clone(), value, text: None })
    }

    /// Decodes the object. The error has the field and, if it is known, the line.
    ///
    /// # Errors
    /// [`DocumentError::Field`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        let decoded = match without_nulls(&self.value) {
            Some(value) => serde_path_to_error::deserialize(&value),
            None => serde_path_to_error::deserialize(&self.value),
        };
        let error = match decoded {
            Ok(decoded) => return Ok(decoded),
            Err(error) => error,
        };
        // Decode the text again, because values have no lines.
        let again = self.text.as_ref().and_then(|text| serde_yaml::from_str::<T>(text).err());
        // The parser counts from the first line of the document.
        let line = again.and_then(|error| error.location()).map(|location| location.line() + self.place.line - 1);
        Err(DocumentError::Field { field: error.path().to_string(), message: error.inner().to_string(), line })
    }
}

/// A copy of the object without null fields, or `None` if it has none. API servers and Go treat null like an absent field
/// if the field is optional.
fn without_nulls(value: &Value) -> Option<Value> {
    has_null(value).then(|| {
        let mut value = value.clone();
        remove_nulls(&mut value);
        value
    })
}

/// Whether any field is null. Large objects are copied only in this case. The parsers limit the depth.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(|field| field.is_null() || has_null(field)),
        Value::Array(items) => items.iter().any(has_null),
        _ => false,
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// A part of a text after as many empty lines as precede it, so that the parser reports lines of the whole text.
fn pad(text: &str, line: usize) -> String {
    "\n".repeat(line - 1) + text
}

/// Parses a text. `file` is its name in messages; its extension selects the format if the content does not.
///
/// # Errors
/// [`DocumentError::Syntax`] for the first invalid document.
pub fn read(file: &str, text: &str) -> Result<Vec<Document>, DocumentError> {
    let file: Arc<str> = file.into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = if text.trim_start().starts_with('{') {
        limits::check(text).map_err(|refusal| refused(&file, 1, 1, "JSON", refusal))?;
        match read_json(&file, text) {
            // A YAML mapping in flow style also starts with a brace. If it is not valid YAML either, report the error of the
            // format that the file name implies. A template is valid in neither format.
            Err(error) if !has_ending(&file, &["json"]) => {
                let is_yaml = has_ending(&file, &["yaml", "yml"]) || hint::is_template(text);
                read_yaml(&file, text).map_err(|of_yaml| if is_yaml { of_yaml } else { error })?
            }
            read => read?,
        }
    } else {
        read_yaml(&file, text)?
    };
    Ok(documents.into_iter().flat_map(take_apart).collect())
}

fn has_ending(file: &str, endings: &[&str]) -> bool {
    let extension = std::path::Path::new(file).extension();
    extension.is_some_and(|extension| endings.iter().any(|ending| extension.eq_ignore_ascii_case(ending)))
}

fn read_json(file: &Arc<str>, text: &str) -> Result<Vec<Document>, DocumentError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut documents = Vec::new();
    let mut lines = Lines::default();
    loop {
        let begin = stream.byte_offset();
        let rest = text.get(begin..).unwrap_or_default();
        let begin = begin + (rest.len() - rest.trim_start().len());
        let line = lines.at(text, begin);
        let number = documents.len() + 1;
        let place = Place { file: Arc::clone(file), document: number, line, item: None };
        match stream.next() {
            None => return Ok(documents),
            Some(Ok(value)) => {
                let own = text.get(begin..stream.byte_offset()).map(Arc::from);
                documents.push(Document { place, value, text: own });
            }
            Some(Err(error)) => {
                return Err(syntax(file, number, "JSON", error.to_string()));
            }
        }
    }
}

fn read_yaml(file: &Arc<str>, text: &str) -> Result<Vec<Document>, DocumentError> {
    let mut documents = Vec::new();
    for (index, (line, chunk)) in split(text).into_iter().enumerate() {
        let place = Place { file: Arc::clone(file), document: index + 1, line, item: None };
        limits::check(chunk).map_err(|refusal| refused(file, index + 1, line, "YAML", refusal))?;
        let value = yaml_value(chunk, line)
            .map_err(|message| syntax(file, index + 1, "YAML", hint::with_hint(&message, chunk)))?;
        if !value.is_null() {
            documents.push(Document { place, value, text: Some(chunk.into()) });
        }
    }
    Ok(documents)
}

/// Rejects an untrusted YAML document whose parsing would take far more time or memory than its length justifies.
///
/// # Errors
/// The limit that the document exceeds, as a message for users.
pub fn check_cost(text: &str) -> Result<(), String> {
    limits::check(text).map_err(|refusal| match refusal.line {
        Some(line) => format!("line {line}: {}", refusal.message),
        None => refusal.message,
    })?;
    // Other errors are reported when the document is decoded.
    if text.contains('&') && text.contains('*') { value::check_aliases(text) } else { Ok(()) }
}

fn refused(file: &Arc<str>, document: usize, first: usize, format: &'static str, refusal: Refusal) -> DocumentError {
    let Refusal { line, message } = refusal;
    let line = line.map(|line| format!("line {}: ", line + first - 1)).unwrap_or_default();
    syntax(file, document, format, format!("{line}{message}"))
}

fn syntax(text: &Arc<str>, document: usize, format: &'static str, message: String) -> DocumentError {
    DocumentError::Syntax { text: Arc::clone(text), document, format, message }
}

/// Parses a part of a text that starts on `line`. Errors have the line in the whole text.
fn yaml_value(chunk: &str, line: usize) -> Result<Value, String> {
    // If the padding would be longer than the part, parse without it first, and again only to get the error's line.
    if line > chunk.len() {
        return value::read(chunk).or_else(|_| value::read(&pad(chunk, line)));
    }
    if line == 1 { value::read(chunk) } else { value::read(&pad(chunk, line)) }
}

/// The items of a list. A typed list, such as `HostedClusterList`, sets the kind of items that have none.
fn take_apart(document: Document) -> Vec<Document> {
    let kind = document.text_at("/kind").and_then(|kind| kind.strip_suffix("List")).map(str::to_owned);
    let items = match document.value.get("items") {
        Some(Value::Array(items)) => items.as_slice(),
        // Go serializes an empty list as null.
        Some(Value::Null) => &[],
        _ => return vec![document],
    };
    let Some(kind) = kind else { return vec![document] };
    let api_version = document.value.get("apiVersion");
    let items = items.iter().enumerate().map(|(index, item)| {
        let mut value = item.clone();
        if let Value::Object(object) = &mut value
            && !kind.is_empty()
        {
            object.entry("kind").or_insert_with(|| kind.as_str().into());
            if let Some(api_version) = api_version {
                object.entry("apiVersion").or_insert_with(|| api_version.clone());
            }
        }
        let place = Place { item: Some(index + 1), ..document.place.clone() };
        Document { place, value, text: None }
    });
    items.collect()
}

#[cfg(test)]
mod tests;
