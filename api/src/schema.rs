//! Schemas that cannot be derived.

use schemars::{Schema, json_schema};

/// `metav1.Condition` with the list keyed by type; the derived schema would not be structural.
pub(crate) fn conditions(description: &str, observed: &str) -> Schema {
    json_schema!({
        "type": "array",
        "description": description,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "What the condition is about."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": format!("The generation that it was decided on: of {observed}.")},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When its status last changed."},
                "reason": {"type": "string", "maxLength": 1024, "description": "Why, from a closed set."},
                "message": {"type": "string", "maxLength": 32768, "description": "The same for a person."}
            }
        }
    })
}
