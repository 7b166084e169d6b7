//! Finds the directory for hosts.toml in containerd's configuration, which the agent never changes.

use std::io;

use serde::Deserialize;

use crate::agent::files::Host;

/// The directory in containerd's documentation.
pub const USUAL_DIRECTORY: &str = "/etc/containerd/certs.d";

/// Maximum number of imported files.
const MOST_IMPORTS: usize = 100;

/// Why containerd does not read any hosts.toml, as far as its configuration shows.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no configuration.
    #[error("{0} does not exist, or the pod does not mount its directory; containerd ignores hosts.toml by default: {set}", set = set_it())]
    Absent(String),
    /// It cannot be read.
    #[error("failed to read {0}: {1}")]
    Unreadable(String, #[source] io::Error),
    /// It is not valid.
    #[error("failed to parse {0}: {1}")]
    Invalid(String, String),
    /// It does not name a directory.
    #[error("config_path is not set in {0}, so containerd ignores hosts.toml: {set}", set = set_it())]
    Unset(String),
    /// It names a directory in a table that containerd does not read.
    #[error(
        "config_path in {0} is set in a table of containerd 1.x, which containerd 2.x ignores in a file with version = 3: {set}",
        set = set_it()
    )]
    OldTable(String),
    /// The directory is not an absolute path.
    #[error("config_path in {0} is {1:?}, which is not an absolute path")]
    Relative(String, String),
}

fn set_it() -> String {
    format!(
        "set config_path = {USUAL_DIRECTORY:?} in the table [plugins.\"io.containerd.grpc.v1.cri\".registry] (containerd 1.x) or \
         [plugins.\"io.containerd.cri.v1.images\".registry] (containerd 2.x) and restart containerd"
    )
}

/// The first version of the configuration in which the table of containerd 1.x has no effect.
const VERSION_OF_2X: i64 = 3;

/// The directory that containerd is configured to read.
#[derive(Debug, PartialEq, Eq)]
pub struct HostsPath {
    /// An absolute path.
    pub directory: String,
    /// Why containerd may ignore it.
    pub doubt: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    version: i64,
    imports: Vec<String>,
    plugins: Plugins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plugins {
    /// containerd 2.x.
    #[serde(rename = "io.containerd.cri.v1.images")]
    images: Cri,
    /// containerd 1.x.
    #[serde(rename = "io.containerd.grpc.v1.cri")]
    cri: Cri,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cri {
    registry: RegistryKeys,
    /// Images are not pulled by containerd's transfer service.
    use_local_image_pull: bool,
    /// The same, because the transfer service has no such option.
    discard_unpacked_layers: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RegistryKeys {
    config_path: String,
}

impl File {
    fn config_path(&self) -> Option<&str> {
        let images = self.plugins.images.config_path();
        images.or_else(|| self.plugins.cri.config_path().filter(|_| self.version < VERSION_OF_2X))
    }

    /// Whether only containerd 2.x reads its `config_path`.
    fn is_of_2x(&self) -> bool {
        self.version >= VERSION_OF_2X || self.plugins.images.config_path().is_some()
    }
}

impl Cri {
    fn config_path(&self) -> Option<&str> {
        Some(self.registry.config_path.as_str()).filter(|path| !path.is_empty())
    }

    /// Whether the CRI plugin itself pulls images, which reads all directories of a list.
    fn is_pulling(&self) -> bool {
        self.use_local_image_pull || self.discard_unpacked_layers
    }
}

fn parse(path: &str, content: &[u8]) -> Result<File, ConfigError> {
    let invalid = |why: String| ConfigError::Invalid(path.to_owned(), why);
    let text = std::str::from_utf8(content).map_err(|error| invalid(error.to_string()))?;
    toml::from_str(text).map_err(|error| invalid(error.message().to_owned()))
}

/// The first directory of `config_path` in containerd's configuration. A value in an imported file takes precedence.
///
/// # Errors
/// [`ConfigError`].
pub fn hosts_path(host: &Host, path: &str) -> Result<HostsPath, ConfigError> {
    let unreadable = |path: &str, error| ConfigError::Unreadable(path.to_owned(), error);
    let content = host.content(path).map_err(|error| unreadable(path, error))?;
    let main = parse(path, &content.ok_or_else(|| ConfigError::Absent(path.to_owned()))?)?;
    let imported = imports(host, path, &main.imports).map_err(|error| unreadable(path, error))?;
    let mut files = vec![(path.to_owned(), main)];
    for import in imported {
        let Some(content) = host.content(&import).map_err(|error| unreadable(&import, error))? else { continue };
        let file = parse(&import, &content)?;
        files.push((import, file));
    }
    let last = files.iter().rev().find_map(|(name, file)| Some((name, file, file.config_path()?)));
    let Some((name, file, value)) = last else {
        let old = files.iter().find(|(_, file)| file.plugins.cri.config_path().is_some());
        return Err(match old {
            Some((name, _)) => ConfigError::OldTable(name.clone()),
            None => ConfigError::Unset(path.to_owned()),
        });
    };
    let first = value.split(':').next().unwrap_or_default().trim_end_matches('/');
    if !first.starts_with('/') {
        return Err(ConfigError::Relative(name.clone(), value.to_owned()));
    }
    let is_pulling = files.iter().any(|(_, file)| file.plugins.images.is_pulling());
    let doubt = (value.contains(':') && file.is_of_2x() && !is_pulling).then(|| list_doubt(name, value, first));
    Ok(HostsPath { directory: first.to_owned(), doubt })
}

/// The transfer service, by which containerd pulls since 2.1, takes the whole list for the path of one directory
/// (containerd's issues 12415 and 12808).
fn list_doubt(file: &str, value: &str, first: &str) -> String {
    format!(
        "config_path in {file} is the list {value:?}, which containerd 2.1 and later take for one directory, so that they ignore \
         hosts.toml; set config_path = {first:?} and restart containerd"
    )
}

/// The imported files, in load order. Paths are relative to the main file, and their last component may have wildcards.
fn imports(host: &Host, main: &str, patterns: &[String]) -> io::Result<Vec<String>> {
    let base = main.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut files = Vec::new();
    for pattern in patterns {
        let pattern = if pattern.starts_with('/') { pattern.clone() } else { format!("{base}/{pattern}") };
        let Some((directory, name)) = pattern.rsplit_once('/').filter(|(_, name)| name.contains('*')) else {
            files.push(pattern);
            continue;
        };
        let mut names = host.names(directory)?;
        names.retain(|candidate| matches(name, candidate));
        names.sort_unstable();
        files.extend(names.into_iter().map(|name| format!("{directory}/{name}")));
    }
    files.truncate(MOST_IMPORTS);
    Ok(files)
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}
