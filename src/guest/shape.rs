//! Decodes only the fields of an object that another one has, so that additional fields take no memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Placeholder for fields that the shape does not have.
const MORE: &str = "";

/// The fields of an object that `shape` has. If the object has more fields or elements, the result differs from the shape.
pub(super) fn read(bytes: &[u8], shape: &Value) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Shaped(shape).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

struct Shaped<'s>(&'s Value);

impl<'de> DeserializeSeed<'de> for Shaped<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shaped<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let shapes = self.0.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut elements = Vec::new();
        for shape in shapes {
            match list.next_element_seed(Shaped(shape))? {
                Some(element) => elements.push(element),
                None => return Ok(elements.into()),
            }
        }
        if list.next_element::<IgnoredAny>()?.is_some() {
            elements.push(Value::Null);
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if let Some(shape) = self.0.get(&name) {
                fields.insert(name, map.next_value_seed(Shaped(shape))?);
            } else {
                map.next_value::<IgnoredAny>()?;
                fields.insert(MORE.to_owned(), Value::Null);
            }
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value, shape: &Value) -> Value {
        read(value.to_string().as_bytes(), shape).unwrap()
    }

    #[test]
    fn what_the_shape_has_is_read_and_anything_more_makes_it_unequal() {
        let shape = json!({"a": {"b": [1, {"c": "x"}], "d": null}, "e": true});
        assert_eq!(of(&shape, &shape), shape);
        let other = json!({"a": {"b": [2.5, {"c": "y"}], "d": {"f": 1}}, "e": "text"});
        assert_eq!(of(&other, &shape), json!({"a": {"b": [2.5, {"c": "y"}], "d": {"": null}}, "e": "text"}));
        let fewer = json!({"a": {"b": [1]}});
        assert_eq!(of(&fewer, &shape), fewer);
        let more = json!({"a": {"b": [1, {"c": "x"}, 3, 4, 5], "z": 1, "y": 2}});
        assert_eq!(of(&more, &shape), json!({"a": {"b": [1, {"c": "x"}, null], "": null}}));
    }

    #[test]
    fn fields_outside_the_shape_are_dropped() {
        let many = format!("[{}{{\"\":0}}]", "{\"\":0},".repeat(10_000));
        assert_eq!(read(many.as_bytes(), &json!({"kind": ""})).unwrap(), json!([null]));
        let inside = format!(r#"{{"kind": {many}, "x": {many}}}"#);
        assert_eq!(read(inside.as_bytes(), &json!({"kind": ""})).unwrap(), json!({"kind": [null], "": null}));
        assert!(read(b"{\"a\": 1} x", &json!({})).is_err() && read(b"{", &json!({})).is_err());
    }
}
