//! Which repositories Images may use: a list of prefixes from a flag. Pure.

use std::str::FromStr;

use crate::registry::Repository;

/// A prefix of repositories, for all namespaces or for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    namespace: Option<String>,
    prefix: String,
}

impl FromStr for Allowed {
    type Err = String;

    /// Reads `registry.example/team`, or `namespace=registry.example/team`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, prefix) = match text.split_once('=') {
            Some((namespace, prefix)) => (Some(namespace.to_owned()), prefix),
            None => (None, text),
        };
        let prefix = prefix.trim_end_matches('/');
        let host = prefix.split('/').next().unwrap_or_default();
        // A name without a registry is one of Docker Hub elsewhere; here that would allow something else than it seems to.
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let is_plain = !prefix.contains("://") && !prefix.contains(['@', ' ', '*']) && !prefix.contains("//");
        if !is_host || !is_plain || namespace.as_ref().is_some_and(String::is_empty) {
            return Err(format!("{text:?} is not [NAMESPACE=]HOST[:PORT][/PATH], for example registry.example/team"));
        }
        Ok(Self { namespace, prefix: prefix.to_owned() })
    }
}

/// Whether one of these prefixes covers a repository, on whole parts of its path, for an Image of this namespace.
///
/// Unlike a prefix of registries.conf, one without a port covers no registry with a port: what is not named is not allowed.
pub fn allows(list: &[Allowed], namespace: &str, repository: &Repository) -> bool {
    allows_name(list, namespace, &repository.to_string())
}

/// The same for a name `HOST[:PORT][/PATH]`, also that of a prefix: then everything under it is allowed.
pub fn allows_name(list: &[Allowed], namespace: &str, name: &str) -> bool {
    list.iter().any(|allowed| {
        let is_ours = allowed.namespace.as_ref().is_none_or(|own| own == namespace);
        let rest = name.strip_prefix(&allowed.prefix);
        is_ours && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::ImageReference;

    fn is_allowed(list: &[&str], namespace: &str, name: &str) -> bool {
        let list: Vec<Allowed> = list.iter().map(|text| text.parse().unwrap()).collect();
        allows(&list, namespace, &Repository::of(&ImageReference::parse(name).unwrap()).unwrap())
    }

    #[test]
    fn a_prefix_covers_whole_parts_of_a_path() {
        let list = ["registry.example:5000/team", "docker.io/mine/"];
        for name in
            ["registry.example:5000/team", "registry.example:5000/team/app", "mine/app", "index.docker.io/mine/app"]
        {
            assert!(is_allowed(&list, "a", name), "{name}");
        }
        for name in [
            "registry.example:5000/teams/app",
            "registry.example/team/app",
            "registry.example:5000/a/team",
            "other/mine/app",
        ] {
            assert!(!is_allowed(&list, "a", name), "{name}");
        }
        assert!(is_allowed(&["registry.example"], "a", "registry.example/any/app"));
        assert!(!is_allowed(&["registry.example"], "a", "registry.example.org/app"));
        assert!(!is_allowed(&[], "a", "registry.example/app"), "nothing is allowed by default");
    }

    #[test]
    fn a_prefix_may_be_for_one_namespace() {
        let list = ["team-a=registry.example/a"];
        assert!(is_allowed(&list, "team-a", "registry.example/a/app"));
        assert!(!is_allowed(&list, "team-b", "registry.example/a/app"));
    }

    #[test]
    fn what_would_allow_something_else_than_it_seems_to_is_refused() {
        for text in [
            "",
            "/",
            "team",
            "team/app",
            "https://registry.example",
            "=registry.example",
            "*.example",
            "a.example//b",
            "u@a.example",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
