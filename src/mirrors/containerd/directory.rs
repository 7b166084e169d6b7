//! The directory that containerd's `config_path` names, as it was read.

use std::collections::BTreeMap;

/// The directory for registries without a directory of their own.
const DEFAULT: &str = "_default";

/// The directory with one directory for each registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsDirectory {
    /// Its path on the node.
    pub path: String,
    /// The directories in it, by name.
    pub hosts: BTreeMap<String, HostDirectory>,
}

/// The directory of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDirectory {
    /// Its hosts.toml.
    pub file: HostFile,
    /// The names of files with certificates of authorities (`*.crt`), sorted.
    pub authorities: Vec<String>,
    /// The names of files with client certificates (`*.cert`) and their keys (`*.key`), sorted.
    pub clients: Vec<(String, String)>,
}

/// A file hosts.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostFile {
    /// It does not exist.
    #[default]
    Absent,
    /// hypermirror wrote it. Its content.
    Ours(Vec<u8>),
    /// Another program or a person wrote it, and how that was recognised.
    Foreign(String),
}

impl HostsDirectory {
    /// The directory that containerd uses for a registry, with its name. `host_5000_` takes precedence over `host:5000`.
    pub(super) fn of(&self, registry: &str) -> Option<(&str, &HostDirectory)> {
        let alias = alias(registry).and_then(|alias| self.hosts.get_key_value(&alias));
        let found = alias.or_else(|| self.hosts.get_key_value(registry));
        found.map(|(name, directory)| (name.as_str(), directory))
    }

    /// The path of a file in the directory of a registry.
    pub(super) fn path_of(&self, name: &str, file: &str) -> String {
        format!("{}/{name}/{file}", self.path)
    }

    /// What prevents hypermirror from writing the file of a registry, if anything does: the path of a file or directory.
    pub(super) fn occupied_by(&self, registry: &str, file: &str) -> Option<String> {
        match self.of(registry)? {
            (name, _) if name != registry => Some(format!("{}/{name}", self.path)),
            (name, HostDirectory { file: HostFile::Foreign(why), .. }) => {
                Some(format!("{} ({why})", self.path_of(name, file)))
            }
            _ => None,
        }
    }

    /// Whether there is a configuration for registries without a directory of their own.
    pub(super) fn has_default(&self) -> bool {
        self.hosts.contains_key(DEFAULT)
    }
}

/// The other name of the directory of a registry with a port.
fn alias(registry: &str) -> Option<String> {
    registry.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_"))
}
