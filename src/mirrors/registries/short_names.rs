//! Short names: the full names that a node tries for an image name without a registry.
//!
//! `containers/image`, `pkg/shortnames/shortnames.go` (`Resolve`), as CRI-O calls it: an alias takes precedence. Without an
//! alias, the registries of the search list are tried in order. In the mode `enforcing`, several of them are an error.

use super::{Explanation, RegistriesConfig, explain};
use crate::mirrors::ImageReference;

/// The result for an image name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullNames {
    /// The name has a registry.
    Itself,
    /// The name has no registry.
    Tried {
        /// The full names, in the order in which they are tried.
        names: Vec<String>,
        /// Whether the result is from an alias and not from the search list.
        by_alias: bool,
    },
    /// The name has no registry, and no known file has a search list.
    Unknown,
}

/// Why a node tries no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShortNameError {
    /// There is no alias and no search list.
    #[error(
        "short-name {0:?} did not resolve to an alias and no unqualified-search registries are defined; name the registry \
         in the image"
    )]
    NoRegistries(String),
    /// The search list has several registries, and the mode does not allow trying all of them.
    #[error(
        "short name mode is enforcing, but image name {image} returns ambiguous list: {}; add the registry to the image",
        names.join(", ")
    )]
    Ambiguous {
        /// The image.
        image: String,
        /// The candidates.
        names: Vec<String>,
    },
}

/// Whether a name has no registry.
pub fn is_short(image: &str) -> bool {
    let names_registry =
        |first: &str| first.contains(['.', ':']) || first == "localhost" || first.contains(char::is_uppercase);
    !image.split_once('/').is_some_and(|(first, _)| names_registry(first))
}

/// The full names that a node with these files tries. With `is_whole`, no file of the node is missing, so a search list
/// that is in no file is empty.
///
/// # Errors
/// [`ShortNameError`].
pub fn full_names(config: &RegistriesConfig, image: &str, is_whole: bool) -> Result<FullNames, ShortNameError> {
    if !is_short(image) || ImageReference::parse(image).is_err() {
        return Ok(FullNames::Itself);
    }
    let end = image.find([':', '@']).unwrap_or(image.len());
    let (name, rest) = image.split_at(end);
    if let Some(alias) = config.alias(name) {
        return Ok(FullNames::Tried { names: vec![format!("{alias}{rest}")], by_alias: true });
    }
    let registries = match config.unqualified_search_registries() {
        None if !is_whole => return Ok(FullNames::Unknown),
        registries => registries.unwrap_or_default(),
    };
    let names: Vec<String> = registries.iter().map(|registry| format!("{registry}/{image}")).collect();
    match names.len() {
        0 => Err(ShortNameError::NoRegistries(image.to_owned())),
        1 => Ok(FullNames::Tried { names, by_alias: false }),
        _ if config.short_name_mode() == Some("enforcing") => {
            Err(ShortNameError::Ambiguous { image: image.to_owned(), names })
        }
        _ => Ok(FullNames::Tried { names, by_alias: false }),
    }
}

/// The endpoints for a name that may have no registry: those of each full name, in order. `explain_one` resolves one full
/// name.
pub fn explain_name(
    config: &RegistriesConfig,
    image: &str,
    is_whole: bool,
    explain_one: impl Fn(&str) -> Explanation,
) -> Explanation {
    let names = match full_names(config, image, is_whole) {
        Ok(FullNames::Itself | FullNames::Unknown) => return explain_one(image),
        Ok(FullNames::Tried { names, .. }) => names,
        Err(error) => {
            let error = Some(error.to_string());
            return Explanation { image: image.to_owned(), prefix: None, endpoints: Vec::new(), error };
        }
    };
    let mut all = Explanation { image: image.to_owned(), prefix: None, endpoints: Vec::new(), error: None };
    for name in &names {
        let one = explain_one(name);
        all.prefix = all.prefix.or(one.prefix);
        all.endpoints.extend(one.endpoints);
        all.error = all.error.or(one.error);
    }
    // A node continues with the next full name if one is invalid.
    all.error = all.error.filter(|_| all.endpoints.is_empty());
    all
}

/// [`explain_name`] with all files of a node.
pub fn explain_short(config: &RegistriesConfig, image: &str, is_whole: bool) -> Explanation {
    explain_name(config, image, is_whole, |name| explain(config, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RegistriesConfig {
        RegistriesConfig::load(Some(("registries.conf", text.as_bytes())), []).unwrap()
    }

    fn tried(config: &RegistriesConfig, image: &str) -> Vec<String> {
        let explanation = explain_short(config, image, true);
        let failed = explanation.error.into_iter().map(|error| format!("error: {error}"));
        explanation.endpoints.into_iter().map(|endpoint| endpoint.reference).chain(failed).collect()
    }

    const TWO: &str = "unqualified-search-registries = ['registry.access.redhat.com', 'docker.io']\n";
    const MIRRORS: &str = "[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'm.example/hub'\n\
                           [[registry]]\nlocation = 'registry.access.redhat.com'\n[[registry.mirror]]\nlocation = 'm.example/rh'\n";

    /// As CRI-O 1.36.3 did with these files.
    #[test]
    fn each_registry_of_the_search_list_is_tried_with_its_mirrors() {
        let expected = [
            "m.example/rh/synology/synology-csi:v1.2.0",
            "registry.access.redhat.com/synology/synology-csi:v1.2.0",
            "m.example/hub/synology/synology-csi:v1.2.0",
            "docker.io/synology/synology-csi:v1.2.0",
        ];
        for mode in ["", "short-name-mode = 'disabled'\n", "short-name-mode = 'permissive'\n"] {
            let config = config(&format!("{mode}{TWO}{MIRRORS}"));
            assert_eq!(tried(&config, "synology/synology-csi:v1.2.0"), expected, "{mode}");
        }
    }

    #[test]
    fn enforcing_accepts_one_registry_and_rejects_several() {
        let several = config(&format!("short-name-mode = 'enforcing'\n{TWO}"));
        let tried_names = tried(&several, "app:v1");
        assert!(
            tried_names[0]
                .starts_with("error: short name mode is enforcing, but image name app:v1 returns ambiguous list"),
            "{tried_names:?}"
        );
        let one = config("short-name-mode = 'enforcing'\nunqualified-search-registries = ['quay.io']\n");
        assert_eq!(tried(&one, "app:v1"), ["quay.io/app:v1"]);
    }

    #[test]
    fn an_alias_decides_whatever_the_mode() {
        let text = format!("short-name-mode = 'enforcing'\n{TWO}[aliases]\n'team/app' = 'quay.io/other/app'\n");
        let config = config(&text);
        assert_eq!(tried(&config, "team/app"), ["quay.io/other/app:latest"]);
        let digest = format!("@sha256:{}", "a".repeat(64));
        assert_eq!(tried(&config, &format!("team/app{digest}")), [format!("quay.io/other/app{digest}")]);
        assert!(tried(&config, "team/app2")[0].starts_with("error: "));
    }

    #[test]
    fn nothing_to_search_is_an_error_of_whole_files_and_unknown_otherwise() {
        for text in ["", "unqualified-search-registries = []\n"] {
            assert!(tried(&config(text), "app")[0].contains("no unqualified-search registries are defined"));
        }
        assert_eq!(full_names(&config(""), "app", false), Ok(FullNames::Unknown));
        let explanation = explain_short(&config(""), "app", false);
        assert_eq!(explanation.endpoints[0].reference, "docker.io/library/app:latest");
    }

    #[test]
    fn names_with_a_registry_are_unchanged() {
        for image in ["quay.io/a", "localhost/a", "host:5000/a", "Upper/case"] {
            assert_eq!(full_names(&config(TWO), image, true), Ok(FullNames::Itself), "{image}");
        }
        assert!(is_short("app:v1") && is_short("team/app") && !is_short("docker.io/app"));
    }
}
