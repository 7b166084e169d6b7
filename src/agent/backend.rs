//! The files of the node's container runtime. The main loop is the same for all runtimes.

use hypermirror_api::node_mirror_status::ObservedSet;

use super::containerd::ContainerdFiles;
use super::desired::{DROP_IN_DIRECTORY, DeclaredMirrors};
use super::files::{ATTACHMENTS_DIRECTORY, CONTAINERS, Host, MISSPELT_DIRECTORY, USER_DIRECTORY};
use super::node::{NodeFile, Pass};

/// The agent's files on the node.
pub enum Backend {
    /// One drop-in of registries.conf, which CRI-O loads when it is reloaded.
    Crio(NodeFile),
    /// One hosts.toml for each registry, which containerd reads at each pull.
    Containerd(ContainerdFiles),
}

impl Backend {
    /// The node's file system.
    pub fn host(&self) -> &Host {
        match self {
            Self::Crio(file) => file.host(),
            Self::Containerd(files) => files.host(),
        }
    }

    /// Removes what remained after a crash.
    pub fn remove_temporary(&self) {
        let removed = match self {
            Self::Crio(file) => file.host().remove_temporary(),
            Self::Containerd(files) => files.remove_temporary(),
        };
        removed.unwrap_or_else(|error| tracing::warn!(%error, "failed to remove a temporary file"));
    }

    /// Reads all files, decides the content and writes what differs.
    pub fn reconcile(&mut self, declared: &DeclaredMirrors, observed: Vec<ObservedSet>) -> Pass {
        match self {
            Self::Crio(file) => file.reconcile(declared, observed),
            Self::Containerd(files) => files.reconcile(declared, observed),
        }
    }

    /// The directories whose changes may require another pass.
    pub fn watched(&self) -> Vec<String> {
        match self {
            Self::Crio(_) => {
                let directories =
                    [CONTAINERS, DROP_IN_DIRECTORY, MISSPELT_DIRECTORY, USER_DIRECTORY, ATTACHMENTS_DIRECTORY];
                ["/etc"].into_iter().chain(directories).map(str::to_owned).collect()
            }
            Self::Containerd(files) => files.watched(),
        }
    }

    /// Whether an observed change may be from another program. The name is that of a file, or empty for the directory itself.
    pub fn is_news(&self, name: &[u8]) -> bool {
        match self {
            Self::Crio(file) => file.is_news(name),
            Self::Containerd(files) => files.is_news(name),
        }
    }
}
