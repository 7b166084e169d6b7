//! Parses a YAML document into a JSON value in one pass. Rejects duplicate keys, resolves merge keys and limits the size of
//! expanded aliases.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Bytes that aliases may always add to a text. Longer texts may have more.
const FREE_BYTES: usize = 1 << 20;
const MERGE: &str = "<<";

/// Parses one document. The caller has checked the limits.
pub(super) fn read(text: &str) -> Result<Value, String> {
    build(text)?.map_err(|error| error.to_string())
}

/// Rejects a document that its aliases expand to many times its length. Ignores other errors.
pub(super) fn check_aliases(text: &str) -> Result<(), String> {
    build(text).map(drop)
}

fn build(text: &str) -> Result<serde_yaml::Result<Value>, String> {
    let left = Cell::new(text.len().saturating_mul(2).saturating_add(FREE_BYTES));
    let value = Build { left: &left }.deserialize(serde_yaml::Deserializer::from_str(text));
    if left.get() == 0 { Err("aliases expand it to many times its length".to_owned()) } else { Ok(value) }
}

/// Subtracts one for each value, and one for each byte of a string, from the remaining budget.
#[derive(Clone, Copy)]
struct Build<'l> {
    left: &'l Cell<usize>,
}

impl Build<'_> {
    fn pay<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().saturating_sub(bytes.saturating_add(1));
        self.left.set(left);
        if left == 0 { Err(E::custom("too long")) } else { Ok(()) }
    }

    fn paid<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.pay(0)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.paid(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.paid(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.paid(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.paid(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.paid(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.paid(Value::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.pay(text.len())?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.pay(0)?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.pay(0)?;
        let mut object = Map::new();
        while let Some(key) = map.next_key_seed(self)? {
            let key = key_of(key)?;
            match object.entry(key) {
                Entry::Occupied(known) => {
                    return Err(Error::custom(format!("duplicate entry with key {:?}", known.key())));
                }
                Entry::Vacant(free) => free.insert(map.next_value_seed(self)?),
            };
        }
        if let Some(merged) = object.remove(MERGE) {
            merge(&mut object, merged)?;
        }
        Ok(Value::Object(object))
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, value: A) -> Result<Value, A::Error> {
        let (tag, value) = value.variant::<String>()?;
        let tag = format!("!{}", tag.strip_prefix('!').filter(|name| !name.is_empty()).unwrap_or(&tag));
        Ok(Value::Object(Map::from_iter([(tag, value.newtype_variant_seed(self)?)])))
    }
}

/// The key in JSON.
fn key_of<E: Error>(key: Value) -> Result<String, E> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(value) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(E::custom("key must be a string")),
    }
}

/// Adds the keys of `<<`. A mapping's own keys take precedence, then those of the first mapping in the list.
fn merge<E: Error>(object: &mut Map<String, Value>, merged: Value) -> Result<(), E> {
    let mappings = match merged {
        Value::Array(list) => list,
        single => vec![single],
    };
    for mapping in mappings {
        let Value::Object(mapping) = mapping else {
            return Err(E::custom("expected a mapping or list of mappings for merging, but found something else"));
        };
        for (key, value) in mapping {
            object.entry(key).or_insert(value);
        }
    }
    Ok(())
}
