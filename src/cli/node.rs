//! A node as the input and its files describe it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use super::console;
use super::input::Input;
use crate::fleet::sources::hosted_cluster_entries;
use crate::kube::ClusterKey;
use crate::mirrors::finding::Finding;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::registries::{ConfigError, DROP_IN, RegistriesConfig};
use crate::mirrors::validate::{Consumer, validate};
use crate::mirrors::{MirrorEntry, Resolved};

/// The files that a node has already.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeFiles {
    /// The node's registries.conf
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,
    /// The node's registries.conf.d
    #[arg(long, value_name = "DIR")]
    pub registries_conf_dir: Option<PathBuf>,
}

/// Files with their contents, named as they were found.
#[derive(Debug, Default)]
pub struct ReadFiles {
    main: Option<(String, Vec<u8>)>,
    drop_ins: Vec<(String, Vec<u8>)>,
}

impl NodeFiles {
    /// Whether any was given.
    pub fn are_given(&self) -> bool {
        self.registries_conf.is_some() || self.registries_conf_dir.is_some()
    }

    /// Reads them; directories below the directory are skipped, as a node does.
    pub fn read(&self) -> Result<ReadFiles> {
        let mut files = ReadFiles::default();
        if let Some(path) = &self.registries_conf {
            files.main = Some(read(path)?);
        }
        if let Some(directory) = &self.registries_conf_dir {
            let entries =
                std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
                if path.is_file() {
                    files.drop_ins.push(read(&path)?);
                }
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((path.display().to_string(), content))
}

impl ReadFiles {
    /// What a node makes of all of them.
    pub fn all(&self) -> Result<RegistriesConfig, ConfigError> {
        self.load(|_| true)
    }

    /// What a node makes of those that are not ours.
    pub fn foreign(&self) -> Result<RegistriesConfig, ConfigError> {
        self.load(|name| Path::new(name).file_name().is_none_or(|name| name != DROP_IN))
    }

    fn load(&self, wanted: impl Fn(&str) -> bool) -> Result<RegistriesConfig, ConfigError> {
        let main = self.main.as_ref().map(|(name, content)| (name.as_str(), content.as_slice()));
        let drop_ins = self.drop_ins.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        RegistriesConfig::load(main, drop_ins.filter(|(name, _)| wanted(name)))
    }
}

/// The mirrors of a node, and what was left out of them.
pub struct NodeMirrors {
    /// The map.
    pub set: Resolved,
    /// Entries that were left out, and warnings.
    pub findings: Vec<Finding>,
}

/// What reaches the nodes: the hosted cluster's own sets, or without one the mirror objects as the node's own.
pub fn mirrors(input: &Input, wanted: Option<&ClusterKey>) -> Result<NodeMirrors> {
    let entries = match input.select(wanted)? {
        Some(cluster) => {
            let unused = input.mirror_sets.len() + input.node_sets.len();
            if unused > 0 {
                console::note(format!(
                    "{unused} mirror sets of the management cluster are not used: only a HostedCluster's own reach nodes"
                ));
            }
            hosted_cluster_entries(cluster)
        }
        None => own_entries(input),
    };
    let validated = validate(&entries, Consumer::Node);
    Ok(NodeMirrors { set: merge_layer(&validated.entries), findings: validated.findings })
}

fn own_entries(input: &Input) -> Vec<MirrorEntry> {
    let mut entries = Vec::new();
    for object in input.mirror_sets.iter().chain(&input.node_sets) {
        match object.foreign_to_nodes {
            Some(why) => console::note(format!("{}/{} is left out: {why}", object.kind, object.name)),
            None => entries.extend(object.entries.iter().cloned()),
        }
    }
    entries
}
