//! The paths of an API server.

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The resources of a group and version, such as `config.openshift.io/v1`.
    Discovery(String),
    /// The objects of a resource, in one namespace or everywhere.
    Collection { resource: String, namespace: Option<String> },
    /// One object.
    Object { resource: String, namespace: Option<String>, name: String },
}

/// Reads a path. A resource is `GROUP/VERSION/PLURAL`, or `v1/PLURAL` in the core group.
pub(super) fn parse(path: &str) -> Option<Target> {
    let mut parts = path.trim_matches('/').split('/');
    let group = match parts.next()? {
        "api" => parts.next()?.to_owned(),
        "apis" => format!("{}/{}", parts.next()?, parts.next()?),
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    let resource = |plural: &str| format!("{group}/{plural}");
    Some(match rest[..] {
        [] => Target::Discovery(group),
        ["namespaces", namespace, plural] => {
            Target::Collection { resource: resource(plural), namespace: Some(namespace.to_owned()) }
        }
        ["namespaces", namespace, plural, name] => {
            let namespace = Some(namespace.to_owned());
            Target::Object { resource: resource(plural), namespace, name: name.to_owned() }
        }
        [plural] => Target::Collection { resource: resource(plural), namespace: None },
        [plural, name] => Target::Object { resource: resource(plural), namespace: None, name: name.to_owned() },
        _ => return None,
    })
}

/// Whether labels match a selector of terms `key=value` and `key!=value`.
pub(super) fn selects(selector: &str, labels: &serde_json::Value) -> bool {
    selector.split(',').filter(|term| !term.is_empty()).all(|term| match term.split_once("!=") {
        Some((key, value)) => labels[key] != value,
        None => term.split_once('=').is_some_and(|(key, value)| labels[key] == value),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_name_groups_collections_and_objects() {
        let none = || None;
        let object = |resource: &str, namespace: Option<&str>, name: &str| {
            let namespace = namespace.map(str::to_owned);
            Some(Target::Object { resource: resource.to_owned(), namespace, name: name.to_owned() })
        };
        let collection = |resource: &str, namespace: Option<&str>| {
            Some(Target::Collection { resource: resource.to_owned(), namespace: namespace.map(str::to_owned) })
        };
        assert_eq!(parse("/apis/config.openshift.io/v1"), Some(Target::Discovery("config.openshift.io/v1".to_owned())));
        assert_eq!(parse("/api/v1/namespaces/a"), object("v1/namespaces", None, "a"));
        assert_eq!(parse("/api/v1/namespaces/a/pods"), collection("v1/pods", Some("a")));
        assert_eq!(parse("/apis/apps/v1/namespaces/a/daemonsets/b"), object("apps/v1/daemonsets", Some("a"), "b"));
        assert_eq!(parse("/api/v1/nodes"), collection("v1/nodes", None));
        assert_eq!((parse("/version"), parse("/api/v1/a/b/c")), (none(), none()));
    }

    #[test]
    fn a_selector_has_terms_that_all_hold() {
        let labels = json!({"os": "linux"});
        assert!(selects("", &labels) && selects("os=linux", &labels) && selects("os!=windows,os=linux", &labels));
        assert!(!selects("os!=linux", &labels) && !selects("managed=true", &labels));
        assert!(selects("os!=windows", &json!(null)));
    }
}
