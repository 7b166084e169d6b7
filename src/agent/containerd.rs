//! Reconciles the hosts.toml files of containerd on the node.

mod config;
mod desired;
mod directory;

use std::io;

use hypermirror_api::NodeReason;
use hypermirror_api::node_mirror_status::ObservedSet;

use super::desired::{Decision, DeclaredMirrors, warning};
use super::files::{Host, WriteError};
use super::node::{Pass, hash, refused};
use super::report::{NodeConditionState, Snapshot};
use crate::mirrors::containerd::{CONFIG_PATH_LIST, HostFile, HostsDirectory};
use config::HostsPath;
use desired::{Contents, decide};

/// The path of containerd's configuration.
pub const CONFIG: &str = "/etc/containerd/config.toml";

/// The agent's files.
#[derive(Debug)]
pub struct ContainerdFiles {
    host: Host,
    /// The path of config.toml on the node.
    config: String,
    /// The directory for hosts.toml, once it is known.
    directory: Option<String>,
    /// The names of the directories in it.
    registries: Vec<String>,
    observed: Vec<ObservedSet>,
}

impl ContainerdFiles {
    /// Creates the files for a host.
    pub fn new(host: Host, config: String) -> Self {
        Self { host, config, directory: None, registries: Vec::new(), observed: Vec::new() }
    }

    /// The node's file system.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Removes a directory that remained after a crash.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_temporary(&self) -> Result<(), WriteError> {
        match config::hosts_path(&self.host, &self.config) {
            Ok(path) => directory::remove_temporary(&self.host, &path.directory),
            Err(_) => Ok(()), // The first pass reports it.
        }
    }

    /// The directories whose changes may require another pass.
    pub fn watched(&self) -> Vec<String> {
        let of_config = self.config.rsplit_once('/').map(|(directory, _)| directory.to_owned());
        let of_registries = self.directory.iter().flat_map(|path| {
            let of_registry = self.registries.iter().map(move |name| format!("{path}/{name}"));
            [path.clone()].into_iter().chain(of_registry)
        });
        of_config.into_iter().chain(of_registries).collect()
    }

    /// Whether an observed change may be from another program: any but that of a temporary file.
    pub fn is_news(&self, name: &[u8]) -> bool {
        !directory::is_temporary(name)
    }

    /// Reads all files, decides their content and writes those that differ.
    pub fn reconcile(&mut self, declared: &DeclaredMirrors, observed: Vec<ObservedSet>) -> Pass {
        let HostsPath { directory: path, doubt } = match config::hosts_path(&self.host, &self.config) {
            Ok(path) => path,
            Err(error) => return self.stopped(NodeReason::RuntimeNotConfigured, error.to_string()),
        };
        let found = match directory::read(&self.host, &path) {
            Ok(found) => found,
            Err(error) => return self.unreadable(&path, &error),
        };
        self.directory = Some(path.clone());
        self.registries = found.hosts.keys().cloned().collect();
        let mut decision = decide(declared, &found);
        decision.warnings.extend(doubt.map(|doubt| warning(CONFIG_PATH_LIST, &path, &doubt)));
        let (state, is_changed) = match &decision.file {
            Err(refusal) => (refused(refusal), false),
            Ok(files) => {
                let (changes, error) = self.apply(&found, files);
                let state = if let Some(error) = error {
                    NodeConditionState::new(NodeReason::WriteFailed, format!("{path}: {error}"))
                } else {
                    self.observed = observed;
                    NodeConditionState::new(NodeReason::AsExpected, up_to_date(&path, files.len()))
                };
                (state, changes > 0)
            }
        };
        // What is on disk now, as other programs may have seen it before.
        let on_disk = if is_changed { directory::read(&self.host, &path).unwrap_or(found) } else { found };
        let snapshot = Snapshot::new(state, decision, self.observed.clone(), hash_of(&on_disk));
        Pass { snapshot, is_changed }
    }

    /// Writes and removes files. An error of one registry does not prevent the changes of others. Returns the number of changes
    /// and the first error.
    fn apply(&self, found: &HostsDirectory, files: &Contents) -> (usize, Option<WriteError>) {
        let ours = |name: &str| match found.hosts.get(name).map(|host| &host.file) {
            Some(HostFile::Ours(content)) => Some(content.as_slice()),
            _ => None,
        };
        let written = files.iter().filter(|(name, text)| ours(name) != Some(text.as_bytes())).map(|(name, text)| {
            let is_new = !found.hosts.contains_key(name);
            directory::write(&self.host, &found.path, (name, text), is_new, ours(name).is_some())
        });
        let unneeded = found.hosts.keys().filter(|name| ours(name).is_some() && !files.contains_key(*name));
        let removed = unneeded.map(|name| directory::remove(&self.host, &found.path, name));
        let mut changes = 0;
        let mut first = None;
        for result in written.chain(removed) {
            match result {
                Ok(()) => changes += 1,
                Err(error) => first = first.or(Some(error)),
            }
        }
        (changes, first)
    }

    fn unreadable(&self, path: &str, error: &io::Error) -> Pass {
        self.stopped(NodeReason::WriteFailed, format!("failed to read {path}: {error}"))
    }

    fn stopped(&self, reason: NodeReason, message: String) -> Pass {
        let nothing: Decision<Contents> = Decision::nothing();
        let state = NodeConditionState::new(reason, message);
        Pass { snapshot: Snapshot::new(state, nothing, self.observed.clone(), String::new()), is_changed: false }
    }
}

/// Removes all files of hypermirror. Returns their number.
///
/// # Errors
/// If the directory cannot be read or a file cannot be removed.
pub fn cleanup(host: &Host, config: &str) -> anyhow::Result<usize> {
    // containerd may be configured differently since, or not at all.
    let path = config::hosts_path(host, config).map(|path| path.directory);
    let path = path.unwrap_or_else(|_| config::USUAL_DIRECTORY.to_owned());
    directory::remove_temporary(host, &path)?;
    let found = directory::read(host, &path)?;
    let ours = found.hosts.iter().filter(|(_, host)| matches!(host.file, HostFile::Ours(_)));
    let mut count = 0;
    for (name, _) in ours {
        directory::remove(host, &path, name)?;
        count += 1;
    }
    Ok(count)
}

fn up_to_date(path: &str, files: usize) -> String {
    match files {
        0 => format!("no file is needed in {path}: no mirrors that containerd can use are declared"),
        1 => format!("{path} is up to date with 1 registry"),
        files => format!("{path} is up to date with {files} registries"),
    }
}

/// The digest of all files of hypermirror. Empty if there is none.
fn hash_of(found: &HostsDirectory) -> String {
    let mut all = Vec::new();
    for (name, host) in &found.hosts {
        if let HostFile::Ours(content) = &host.file {
            all.extend_from_slice(format!("{name} {}\n", content.len()).as_bytes());
            all.extend_from_slice(content);
        }
    }
    if all.is_empty() { String::new() } else { hash(&all) }
}

#[cfg(test)]
mod tests;
