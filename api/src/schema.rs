//! Schemas that cannot be derived.

use schemars::{Schema, json_schema};

/// A list of `metav1.Condition`, keyed by type. The derived schema would not be structural.
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
                "type": {"type": "string", "maxLength": 316, "description": "Type of the condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Status of the condition."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": format!("Generation of {observed} for which the condition was set.")},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Time of the last change of status."},
                "reason": {"type": "string", "maxLength": 1024, "description": "One of a fixed set of reasons, in CamelCase."},
                "message": {"type": "string", "maxLength": 32768, "description": "Human-readable details."}
            }
        }
    })
}
