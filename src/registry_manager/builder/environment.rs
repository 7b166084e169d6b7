//! What the registry-manager's environment says for all builds: the variables of the earlier operator, and a few more. Pure: the
//! variables are asked for by name.

use crate::mirrors::ImageReference;

/// Buildah's image, if the environment does not say.
const IMAGE: &str = "quay.io/containers/buildah";
/// Its tag.
const VERSION: &str = "v1.37.3";

/// Why the environment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?} is not {wanted}")]
pub struct BuildEnvironmentError {
    /// The variable.
    name: &'static str,
    /// Its value.
    value: String,
    /// What it may be.
    wanted: &'static str,
}

/// How Buildah stores images while it builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageDriver {
    /// Layers are mounted on each other.
    #[default]
    Overlay,
    /// Each layer is a whole copy: slow and large, works everywhere.
    Vfs,
}

impl StorageDriver {
    /// As Buildah names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Vfs => "vfs",
        }
    }
}

/// Which system calls containers of builds may make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SeccompProfile {
    /// Those that the container runtime allows by default.
    #[default]
    RuntimeDefault,
    /// All.
    Unconfined,
    /// Those of a file on the node.
    Localhost(String),
}

/// What all builds have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEnvironment {
    /// Buildah's image.
    pub image: String,
    /// The namespace of Jobs. Without one, each is in the namespace of its ImageBuilder.
    pub namespace: Option<String>,
    /// Whether containers are privileged, on nodes without user namespaces.
    pub is_privileged: bool,
    /// How images are stored.
    pub storage_driver: StorageDriver,
    /// Which system calls are allowed.
    pub seccomp: SeccompProfile,
    /// The `SELinux` type of containers, where it is not the default.
    pub selinux_type: Option<String>,
}

impl BuildEnvironment {
    /// Reads the environment.
    ///
    /// # Errors
    /// A wrong value is never a silent default.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BuildEnvironmentError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let wrong = |name, value: &str, wanted| BuildEnvironmentError { name, value: value.to_owned(), wanted };
        let name = get("BUILDAH_IMAGE").unwrap_or_else(|| IMAGE.to_owned());
        let parsed = ImageReference::parse(&name);
        let parsed = parsed.map_err(|_| wrong("BUILDAH_IMAGE", &name, "the name of an image"))?;
        let is_whole = parsed.tag.is_some() || parsed.digest.is_some();
        let version = get("BUILDAH_VERSION").unwrap_or_else(|| VERSION.to_owned());
        let image = if is_whole { name } else { format!("{name}:{version}") };
        if ImageReference::parse(&image).is_err() {
            return Err(wrong("BUILDAH_VERSION", &version, "a tag"));
        }
        let is_privileged = match get("BUILDAH_PRIVILEGED_CONTAINER").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(wrong("BUILDAH_PRIVILEGED_CONTAINER", other, "true or false")),
        };
        let storage_driver = match get("BUILDAH_STORAGE_DRIVER").as_deref() {
            None | Some("overlay") => StorageDriver::Overlay,
            Some("vfs") => StorageDriver::Vfs,
            Some(other) => return Err(wrong("BUILDAH_STORAGE_DRIVER", other, "overlay or vfs")),
        };
        let seccomp = match get("BUILDAH_SECCOMP_PROFILE").as_deref() {
            None | Some("RuntimeDefault") => SeccompProfile::RuntimeDefault,
            Some("Unconfined") => SeccompProfile::Unconfined,
            Some(other) => {
                let path = other.strip_prefix("Localhost/").filter(|path| !path.is_empty()).ok_or_else(|| {
                    wrong("BUILDAH_SECCOMP_PROFILE", other, "RuntimeDefault, Unconfined or Localhost/FILE")
                })?;
                SeccompProfile::Localhost(path.to_owned())
            }
        };
        let namespace = get("BUILDAH_JOB_NAMESPACE");
        if let Some(name) = namespace.as_deref().filter(|name| !is_namespace(name)) {
            return Err(wrong("BUILDAH_JOB_NAMESPACE", name, "the name of a namespace"));
        }
        let selinux_type = get("BUILDAH_SELINUX_TYPE");
        Ok(Self { image, namespace, is_privileged, storage_driver, seccomp, selinux_type })
    }
}

/// It becomes a part of a path.
fn is_namespace(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().all(|byte| is_inner(byte) || byte == b'-')
        && name.bytes().next().is_some_and(is_inner)
        && name.bytes().last().is_some_and(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<BuildEnvironment, BuildEnvironmentError> {
        BuildEnvironment::of_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_it_is_as_the_earlier_operator_documents() {
        let found = environment(&[]).unwrap();
        assert_eq!(found.image, "quay.io/containers/buildah:v1.37.3");
        assert_eq!((found.is_privileged, found.namespace), (false, None));
        assert_eq!((found.storage_driver, found.seccomp), (StorageDriver::Overlay, SeccompProfile::RuntimeDefault));
    }

    #[test]
    fn each_variable_has_its_meaning() {
        let found = environment(&[
            ("BUILDAH_IMAGE", "mirror.example:5000/buildah"),
            ("BUILDAH_VERSION", "v9"),
            ("BUILDAH_JOB_NAMESPACE", "image-operator"),
            ("BUILDAH_PRIVILEGED_CONTAINER", "true"),
            ("BUILDAH_STORAGE_DRIVER", "vfs"),
            ("BUILDAH_SECCOMP_PROFILE", "Localhost/profiles/buildah.json"),
        ])
        .unwrap();
        assert_eq!(found.image, "mirror.example:5000/buildah:v9");
        assert_eq!(found.namespace.as_deref(), Some("image-operator"));
        assert!(found.is_privileged);
        assert_eq!(found.storage_driver, StorageDriver::Vfs);
        assert_eq!(found.seccomp, SeccompProfile::Localhost("profiles/buildah.json".to_owned()));
        let digest = format!("r.example/buildah@sha256:{}", "0".repeat(64));
        assert_eq!(environment(&[("BUILDAH_IMAGE", &digest), ("BUILDAH_VERSION", "v9")]).unwrap().image, digest);
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_it() {
        for (name, value) in [
            ("BUILDAH_IMAGE", "https://x"),
            ("BUILDAH_VERSION", "a b"),
            ("BUILDAH_PRIVILEGED_CONTAINER", "yes"),
            ("BUILDAH_STORAGE_DRIVER", "btrfs"),
            ("BUILDAH_SECCOMP_PROFILE", "Localhost/"),
            ("BUILDAH_JOB_NAMESPACE", "../kube-system"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains(" is not "), "{error}");
        }
    }
}
