//! Removes everything from objects, logs and metrics that may be secret, before somebody passes them on. Pure.
//!
//! What is kept is listed, and everything else is dropped: [`shapes`] names the fields, and free text keeps words of hypermirror's own
//! vocabulary, names of objects and locations of images. So a password is dropped wherever it is, also in a field that did not exist
//! when this was written.

pub mod grammar;
pub mod lines;
pub mod pages;
pub mod shape;
pub mod shapes;
pub mod text;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use grammar::{is_digest, is_name, is_place, is_time};
use shape::{Keep, Shape};

/// In place of what is dropped from a text.
pub const DROPPED: &str = "[dropped]";
/// Length of a text. No message of hypermirror or Kubernetes is longer.
const MAX_TEXT: usize = 4096;

/// Redacts values. It learns names and locations first, so that texts may contain them.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    known: BTreeSet<String>,
}

impl Redactor {
    /// Remembers the names and locations in an object, as far as its shape has them.
    pub fn learn(&mut self, value: &Value, shape: &Shape) {
        match shape {
            Shape::Leaf(keep) => {
                let is_valid: fn(&str) -> bool = match keep {
                    Keep::Name => is_name,
                    Keep::Place => is_place,
                    _ => return,
                };
                if let Some(text) = value.as_str().filter(|text| is_valid(text)) {
                    self.learn_text(text);
                }
            }
            Shape::Fields(fields) => {
                for (name, shape) in fields {
                    if let Some(value) = value.get(name) {
                        self.learn(value, shape);
                    }
                }
            }
            Shape::Each(shape) => {
                let keys = value.as_object().into_iter().flat_map(Map::keys);
                keys.filter(|key| is_place(key)).for_each(|key| self.learn_text(key));
                children(value).for_each(|child| self.learn(child, shape));
            }
        }
    }

    /// Remembers a name that does not come from an object, such as a version.
    pub fn learn_text(&mut self, text: &str) {
        self.known.insert(text.to_owned());
        self.known.extend(text::parts(text).filter(|part| !part.is_empty()).map(str::to_owned));
    }

    /// The part of a value that may be passed on.
    pub fn keep(&self, value: &Value, shape: &Shape) -> Option<Value> {
        match shape {
            Shape::Leaf(keep) => self.leaf(value, *keep),
            Shape::Fields(fields) => {
                let object = value.as_object()?;
                let kept = fields.iter().filter_map(|(name, shape)| {
                    let kept = self.keep(object.get(*name)?, shape)?;
                    Some(((*name).to_owned(), kept))
                });
                Some(Value::Object(kept.collect()))
            }
            Shape::Each(shape) => match value {
                Value::Array(items) => Some(items.iter().filter_map(|item| self.keep(item, shape)).collect()),
                Value::Object(object) => {
                    let is_kept = |key: &str| is_name(key) || is_place(key) || Self::is_reference(key);
                    let kept = object.iter().filter(|(key, _)| is_kept(key));
                    Some(Value::Object(
                        kept.filter_map(|(key, value)| Some((key.clone(), self.keep(value, shape)?)))
                            .collect::<Map<String, Value>>(),
                    ))
                }
                _ => None,
            },
        }
    }

    fn leaf(&self, value: &Value, keep: Keep) -> Option<Value> {
        let text = value.as_str();
        let if_valid =
            |is_valid: fn(&str) -> bool| text.map(|text| Value::from(if is_valid(text) { text } else { DROPPED }));
        match keep {
            Keep::Number => value.is_number().then(|| value.clone()),
            Keep::Bool => value.is_boolean().then(|| value.clone()),
            Keep::Name => if_valid(is_name),
            Keep::Place => if_valid(is_place),
            Keep::Time => if_valid(is_time),
            Keep::Digest => if_valid(is_digest),
            Keep::Text => text.map(|text| self.text(text).into()),
            Keep::Pairs => text.map(|text| lines::pairs(text).into()),
            Keep::Environment => Some(lines::environment(value)),
            Keep::Arguments => Some(self.arguments(value)),
        }
    }

    /// The command line of a container.
    fn arguments(&self, value: &Value) -> Value {
        let mut is_overrides = false;
        let mut kept = Vec::new();
        for word in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let shown = match word.split_once('=') {
                _ if is_overrides => lines::pairs(word),
                Some((lines::OVERRIDES_FLAG, value)) => format!("{}={}", lines::OVERRIDES_FLAG, lines::pairs(value)),
                _ => self.text(word),
            };
            is_overrides = word == lines::OVERRIDES_FLAG;
            kept.push(Value::from(shown));
        }
        Value::Array(kept)
    }

    /// A free text, word by word.
    pub fn text(&self, text: &str) -> String {
        let mut kept = String::with_capacity(text.len().min(MAX_TEXT));
        for word in text.split_inclusive(char::is_whitespace) {
            if kept.len() > MAX_TEXT {
                kept.push_str(DROPPED);
                break;
            }
            let (word, space) = word.split_at(word.trim_end().len());
            kept.push_str(if self.is_kept(word) { word } else { DROPPED });
            // No other white space: some of it controls terminals.
            kept.push_str(if space.contains('\n') { "\n" } else { &" "[..space.len().min(1)] });
        }
        kept
    }

    /// Whether a text is `namespace/name` or `Kind/namespace/name` of objects.
    fn is_reference(text: &str) -> bool {
        !text.is_empty() && text.split('/').all(is_name)
    }

    fn is_kept(&self, word: &str) -> bool {
        text::is_kept(word, &|part| self.known.contains(part))
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(object) => Box::new(object.values()),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests;
