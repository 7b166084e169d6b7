//! What of an object is compared.

use serde_json::{Map, Value};

/// The parts of a value that a schema has by name. What it takes as it comes is left out, because there the stock CRDs know more.
pub fn restricted(value: &Value, schema: &Value) -> Value {
    match (value, &schema["properties"], &schema["items"]) {
        (Value::Object(fields), Value::Object(properties), _) => {
            let known = properties.iter().filter(|(_, schema)| !preserves_unknown_fields(schema)).filter_map(
                |(name, schema)| {
                    let value = restricted(fields.get(name)?, schema);
                    Some((name.clone(), value))
                },
            );
            Value::Object(known.collect::<Map<_, _>>())
        }
        // Of those only the number counts.
        (Value::Array(items), _, schema) if preserves_unknown_fields(schema) => items.len().into(),
        (Value::Array(items), _, schema @ Value::Object(_)) => {
            items.iter().map(|item| restricted(item, schema)).collect()
        }
        _ => value.clone(),
    }
}

fn preserves_unknown_fields(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}
