//! Compares objects in a guest cluster with the desired ones, because a write without a change costs the API server as much
//! as any other.

use serde_json::Value;

use crate::digest::short_digest;

/// Annotation of each object: a digest of the last applied content, which also detects removed fields.
pub const CONTENT: &str = "hypermirror.dev/content";

/// The object with the digest of its content.
pub fn stamped(desired: &Value) -> Value {
    let mut object = desired.clone();
    object["metadata"]["annotations"][CONTENT] = short_digest(&desired.to_string()).into();
    object
}

/// Whether an object on the server is up to date. Fields that the server or other clients added are ignored, except in sets
/// of mirrors, where they could change the mirrors.
pub fn is_applied(live: &Value, stamped: &Value) -> bool {
    let whole =
        matches!(stamped["kind"].as_str(), Some("NodeMirrorSet" | "ImageDigestMirrorSet" | "ImageTagMirrorSet"));
    covers(live, stamped) && (!whole || live["spec"] == stamped["spec"])
}

/// Whether `live` has all values of `wanted`, except empty ones.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| match live.get(key) {
            Some(live) => covers(live, wanted),
            None => says_nothing(wanted),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (Value::Number(live), Value::Number(wanted)) => live.as_f64() == wanted.as_f64(),
        (Value::Null, wanted) => says_nothing(wanted),
        (live, wanted) => live == wanted,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_adds_does_not_matter_and_what_is_missing_does() {
        let wanted =
            stamped(&json!({"kind": "DaemonSet", "metadata": {"name": "a"}, "spec": {"list": [{"a": 1}], "no": []}}));
        let mut live = wanted.clone();
        live["metadata"]["uid"] = "x".into();
        live["spec"]["list"][0]["added"] = true.into();
        live["spec"].as_object_mut().unwrap().remove("no");
        live["status"] = json!({"ready": 1});
        assert!(is_applied(&live, &wanted));
        live["spec"]["list"][0]["a"] = 2.into();
        assert!(!is_applied(&live, &wanted), "a changed value");
        let fewer = stamped(&json!({"kind": "DaemonSet", "metadata": {"name": "a"}, "spec": {}}));
        assert!(!is_applied(&wanted, &fewer), "the digest shows that less is wanted");
    }

    #[test]
    fn a_set_of_mirrors_is_compared_as_a_whole() {
        let wanted = stamped(&json!({"kind": "NodeMirrorSet", "metadata": {}, "spec": {"layer": "HostedCluster"}}));
        let mut live = wanted.clone();
        assert!(is_applied(&live, &wanted));
        live["spec"]["tagMirrors"] = json!([{"source": "evil.example"}]);
        assert!(!is_applied(&live, &wanted));
    }
}
