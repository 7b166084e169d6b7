//! Whether an object already is what is wanted: a write that changes nothing costs an API server as much as one that does.

use serde_json::Value;

use crate::hosted::observed::short_digest;

/// On each object of ours: a digest of what was last applied, so that what is no longer wanted is noticed, too.
pub const CONTENT: &str = "hypermirror.dev/content";

/// The object as it is applied, with the digest of its content.
pub fn stamped(desired: &Value) -> Value {
    let mut object = desired.clone();
    object["metadata"]["annotations"][CONTENT] = short_digest(&desired.to_string()).into();
    object
}

/// Whether an object on the server says all that is wanted: what the server or somebody else added does not matter,
/// except in sets of mirrors, where nobody else has anything to say.
pub fn is_applied(live: &Value, stamped: &Value) -> bool {
    let whole =
        matches!(stamped["kind"].as_str(), Some("NodeMirrorSet" | "ImageDigestMirrorSet" | "ImageTagMirrorSet"));
    covers(live, stamped) && (!whole || live["spec"] == stamped["spec"])
}

/// Whether everything in `wanted` stands in `live`; what says nothing need not be there.
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
        assert!(!is_applied(&wanted, &fewer), "the digest tells that less is wanted");
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
