//! The mirrors and files of a node.

mod declared;
mod live;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::{Usage, console};
use crate::hosted::pool_config::NodeFile;
use crate::mirrors::Resolved;
use crate::mirrors::containerd::{self, HostsDirectory, Rendered};
use crate::mirrors::registries::{ConfigError, DROP_IN, Note, RegistriesConfig};
use crate::registry::coverage::demand::NodeRules;
pub use declared::{NodeMirrors, NodeScope, mirrors, of_cluster, set_inputs};
pub use live::{NodeState, mirrors_of, parse_node_name, read_node};

/// Existing files of a node.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeFiles {
    /// The registries.conf file of the node
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,
    /// The registries.conf.d directory of the node
    #[arg(long, value_name = "DIR")]
    pub registries_conf_dir: Option<PathBuf>,
}

/// The container runtime of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NodeRuntime {
    /// CRI-O: registries.conf
    #[default]
    Crio,
    /// containerd: hosts.toml
    Containerd,
}

/// The rules that containerd has with the mirrors of a node. Reports what it cannot express.
///
/// # Errors
/// If files of CRI-O were passed.
pub fn containerd_hosts(set: &Resolved, files: &NodeFiles) -> Result<Rendered> {
    if files.are_set() {
        return Err(Usage::error(
            "--runtime containerd cannot be used with --registries-conf or --registries-conf-dir",
        ));
    }
    let rendered = containerd::render(set, &HostsDirectory::default());
    for left_out in &rendered.left_out {
        console::warning(format!("{}: not used by containerd: {left_out}", left_out.source));
    }
    Ok(rendered)
}

/// Contents of the files, with their paths.
#[derive(Debug, Default)]
pub struct ReadFiles {
    main: Option<(String, Vec<u8>)>,
    drop_ins: Vec<(String, Vec<u8>)>,
    /// The directory of the drop-ins, if it was passed.
    directory: Option<PathBuf>,
}

impl NodeFiles {
    /// Whether any of the flags is set.
    pub fn are_set(&self) -> bool {
        self.registries_conf.is_some() || self.registries_conf_dir.is_some()
    }

    /// Reads the files. As on a node, subdirectories are skipped.
    pub fn read(&self) -> Result<ReadFiles> {
        let mut files = ReadFiles::default();
        if let Some(path) = &self.registries_conf {
            files.main = Some(read(path)?);
        }
        if let Some(directory) = &self.registries_conf_dir {
            files.directory = Some(directory.clone());
            let entries =
                std::fs::read_dir(directory).with_context(|| format!("failed to read {}", directory.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("failed to read {}", directory.display()))?.path();
                if path.is_file() {
                    files.drop_ins.push(read(&path)?);
                }
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let content = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok((path.display().to_string(), content))
}

impl ReadFiles {
    /// Whether registries.conf is one of the files.
    pub fn has_main(&self) -> bool {
        self.main.is_some()
    }

    /// Adds files that `MachineConfig`s write. A file of the same name that was passed by the user takes precedence.
    pub fn add(&mut self, files: &[NodeFile]) {
        for file in files {
            let path = match &self.directory {
                Some(directory) if !file.is_main() => directory.join(file.name()).display().to_string(),
                _ => file.path.clone(),
            };
            if file.is_main() {
                self.main.get_or_insert_with(|| (path, file.content.to_vec()));
            } else if !self.drop_ins.iter().any(|(name, _)| *name == path) {
                self.drop_ins.push((path, file.content.to_vec()));
            }
        }
    }

    /// The configuration of a node with all files.
    pub fn all(&self) -> Result<RegistriesConfig, ConfigError> {
        self.load(|_| true)
    }

    /// The configuration of a node without hypermirror's drop-in.
    pub fn foreign(&self) -> Result<RegistriesConfig, ConfigError> {
        self.load(|name| Path::new(name).file_name().is_none_or(|name| name != DROP_IN))
    }

    /// Where a node with these files and mirrors pulls images from. Also returns notes about the drop-in.
    ///
    /// # Errors
    /// Files that a node rejects.
    pub fn rules(&self, set: &Resolved) -> Result<(NodeRules, Vec<Note>)> {
        Ok(NodeRules::of(set, self.foreign()?, self.has_main())?)
    }

    fn load(&self, wanted: impl Fn(&str) -> bool) -> Result<RegistriesConfig, ConfigError> {
        let main = self.main.as_ref().map(|(name, content)| (name.as_str(), content.as_slice()));
        let drop_ins = self.drop_ins.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        RegistriesConfig::load(main, drop_ins.filter(|(name, _)| wanted(name)))
    }
}
