//! What the registry-manager's environment says for all Images: the variables of the earlier operator. Pure: the variables are
//! asked for by name.

use crate::mirrors::ImageReference;
use crate::registry::Credential;

/// Variables that are accepted and have no effect: copies run in this process, and no API of AWS lists tags.
const WITHOUT_EFFECT: [&str; 5] =
    ["PULL_JOB_NAMESPACE", "SKOPEO_IMAGE", "SKOPEO_VERSION", "API_AWS_PAGE_ITEMS_COUNT", "API_AWS_PAGE_MAX"];

/// Why the environment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// Neither `true` nor `false`.
    #[error("{name}={value:?} is neither true nor false")]
    Boolean {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// No registry.
    #[error("DESTINATION_DEFAULT_REGISTRY is not HOST[:PORT][/PATH]")]
    Registry,
    /// One without the other.
    #[error("{0} is set without its counterpart: set both the user name and the password")]
    Half(&'static str),
}

/// What all Images have if they do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// For sources.
    pub source: EndDefaults,
    /// For destinations.
    pub destination: EndDefaults,
    /// The registry of destinations without one, as `host[:port][/path]`.
    pub destination_registry: Option<String>,
    /// Names of variables that are set and have no effect.
    pub without_effect: Vec<&'static str>,
}

/// What one side has if an Image does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndDefaults {
    /// A user and its password.
    pub credential: Option<Credential>,
    /// Whether any certificate is accepted.
    pub skips_verification: bool,
    /// Whether the process's own AWS identity is used.
    pub uses_aws: bool,
}

impl Defaults {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`EnvironmentError`]: a wrong value is never a silent default.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let registry = get("DESTINATION_DEFAULT_REGISTRY").map(|name| name.trim_end_matches('/').to_owned());
        if let Some(registry) = &registry {
            // Not repeated in the message: it may have a password.
            let host = registry.split('/').next().unwrap_or_default();
            let image = ImageReference::parse(&format!("{registry}/x"));
            let is_valid = image.is_ok_and(|image| image.registry == host && image.tag.is_none());
            if !is_valid {
                return Err(EnvironmentError::Registry);
            }
        }
        let flag = |name| boolean(name, get(name).as_deref());
        let credential = |user, password| credential((user, get(user)), (password, get(password)));
        Ok(Self {
            source: EndDefaults {
                credential: credential("CREDS_SOURCE_USERNAME", "CREDS_SOURCE_PASSWORD")?,
                skips_verification: flag("DISABLE_SRC_TLS_VERIFICATION")?,
                uses_aws: false,
            },
            destination: EndDefaults {
                credential: credential("CREDS_DESTINATION_USERNAME", "CREDS_DESTINATION_PASSWORD")?,
                skips_verification: flag("DISABLE_DEST_TLS_VERIFICATION")?,
                uses_aws: flag("DESTINATION_DEFAULT_AWS_IRSA_USAGE")?,
            },
            destination_registry: registry,
            without_effect: WITHOUT_EFFECT.into_iter().filter(|name| get(name).is_some()).collect(),
        })
    }
}

/// A variable that is `true` or `false`; unset: `false`.
///
/// # Errors
/// [`EnvironmentError::Boolean`].
pub fn boolean(name: &'static str, value: Option<&str>) -> Result<bool, EnvironmentError> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(EnvironmentError::Boolean { name, value: other.to_owned() }),
    }
}

fn credential(
    (user_name, user): (&'static str, Option<String>),
    (password_name, password): (&'static str, Option<String>),
) -> Result<Option<Credential>, EnvironmentError> {
    match (user, password) {
        (Some(user), Some(password)) => Ok(Some(Credential::basic(user, password))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(EnvironmentError::Half(user_name)),
        (None, Some(_)) => Err(EnvironmentError::Half(password_name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(variables: &[(&str, &str)]) -> Result<Defaults, EnvironmentError> {
        Defaults::of_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_of_the_earlier_operator_has_the_same_meaning() {
        let found = defaults(&[
            ("CREDS_SOURCE_USERNAME", "reader"),
            ("CREDS_SOURCE_PASSWORD", "one"),
            ("CREDS_DESTINATION_USERNAME", "writer"),
            ("CREDS_DESTINATION_PASSWORD", "two"),
            ("DISABLE_SRC_TLS_VERIFICATION", "true"),
            ("DISABLE_DEST_TLS_VERIFICATION", "false"),
            ("DESTINATION_DEFAULT_REGISTRY", "registry.example/mirror/"),
            ("DESTINATION_DEFAULT_AWS_IRSA_USAGE", "true"),
            ("SKOPEO_IMAGE", "quay.io/containers/skopeo"),
            ("API_AWS_PAGE_MAX", "4"),
        ])
        .unwrap();
        assert_eq!(found.source.credential, Some(Credential::basic("reader", "one")));
        assert_eq!(found.destination.credential, Some(Credential::basic("writer", "two")));
        assert_eq!((found.source.skips_verification, found.destination.skips_verification), (true, false));
        assert_eq!((found.source.uses_aws, found.destination.uses_aws), (false, true));
        assert_eq!(found.destination_registry.as_deref(), Some("registry.example/mirror"));
        assert_eq!(found.without_effect, ["SKOPEO_IMAGE", "API_AWS_PAGE_MAX"]);
        let empty =
            [("CREDS_SOURCE_USERNAME", ""), ("CREDS_SOURCE_PASSWORD", ""), ("DESTINATION_DEFAULT_REGISTRY", "")];
        assert_eq!(defaults(&empty).unwrap(), Defaults::default(), "as in the README");
    }

    #[test]
    fn a_wrong_value_is_an_error_without_a_password_in_it() {
        assert!(defaults(&[("DISABLE_SRC_TLS_VERIFICATION", "yes")]).is_err());
        for wrong in [
            "https://u:p@registry.example",
            "https://registry.example",
            "u:p@registry.example",
            "registry",
            "a.example:x",
        ] {
            assert!(defaults(&[("DESTINATION_DEFAULT_REGISTRY", wrong)]).is_err(), "{wrong}");
        }
        let error = defaults(&[("CREDS_DESTINATION_PASSWORD", "canary")]).unwrap_err().to_string();
        assert!(error.starts_with("CREDS_DESTINATION_PASSWORD ") && !error.contains("canary"), "{error}");
    }
}
