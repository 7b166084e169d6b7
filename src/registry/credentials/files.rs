//! Which file of credentials counts, in the order of podman and docker (containers-auth.json(5)).

use std::path::PathBuf;

/// The files to try, in order. The flag and `REGISTRY_AUTH_FILE` name one file, which must exist; of the others those that
/// exist count, the first that has a credential for the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthFiles {
    /// This file alone.
    Named(PathBuf),
    /// Those of these that exist.
    Default(Vec<PathBuf>),
}

/// The files of the flag `--authfile` and of the environment, asked for by name.
pub fn auth_files(flag: Option<PathBuf>, variable: impl Fn(&str) -> Option<String>) -> AuthFiles {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = flag.or_else(|| get("REGISTRY_AUTH_FILE")) {
        return AuthFiles::Named(named);
    }
    let home = get("HOME");
    let of_podman = get("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
    let config = get("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let of_config = config.map(|directory| directory.join("containers/auth.json"));
    let of_docker = get("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let of_docker = of_docker.map(|directory| directory.join("config.json"));
    let oldest = home.map(|home| home.join(".dockercfg"));
    AuthFiles::Default([of_podman, of_config, of_docker, oldest].into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_counts_before_the_environment_and_that_before_the_usual_places() {
        let environment = |variables: &'static [(&str, &str)]| {
            move |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let named = |path: &str| AuthFiles::Named(PathBuf::from(path));
        let both = environment(&[("REGISTRY_AUTH_FILE", "e.json"), ("HOME", "h")]);
        assert_eq!(auth_files(Some(PathBuf::from("f.json")), both), named("f.json"));
        assert_eq!(auth_files(None, both), named("e.json"));
        let usual = |paths: &[&str]| AuthFiles::Default(paths.iter().map(PathBuf::from).collect());
        let home = environment(&[("HOME", "h"), ("XDG_RUNTIME_DIR", "r"), ("REGISTRY_AUTH_FILE", "")]);
        let of_home =
            ["r/containers/auth.json", "h/.config/containers/auth.json", "h/.docker/config.json", "h/.dockercfg"];
        assert_eq!(auth_files(None, home), usual(&of_home));
        let docker = environment(&[("DOCKER_CONFIG", "d")]);
        assert_eq!(auth_files(None, docker), usual(&["d/config.json"]));
    }
}
