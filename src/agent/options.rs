//! The flags of `hypermirror agent`, and of `hypermirror-agent`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::containerd::CONFIG;
use super::desired::DROP_IN_DIRECTORY;
use super::files::{CONTAINERS, Host};
use super::inputs::Source;
use super::reload::Reloader;
use super::runtime::RuntimeFiles;
use crate::process::flags::{EndpointFlags, ReloadMethod, RuntimeChoice};
use crate::telemetry::logs::LogFormat;

/// The flags of `hypermirror agent`.
#[derive(Args, Clone, Debug)]
pub struct AgentOptions {
    #[command(subcommand)]
    #[allow(missing_docs)] // A doc comment here would become the help of the subcommand.
    pub action: Option<AgentAction>,
    /// Name of this node
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Objects that declare the mirrors
    #[arg(long, value_enum, default_value_t)]
    pub source: Source,
    #[command(flatten)]
    #[allow(missing_docs)] // A doc comment here would become the help of the flattened flags.
    pub paths: NodePaths,
    #[command(flatten)]
    #[allow(missing_docs)] // A doc comment here would become the help of the flattened flags.
    pub endpoints: EndpointFlags,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", global = true)]
    pub log_format: LogFormat,
}

/// Subcommands of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum AgentAction {
    /// Remove the agent's files from the node and reload CRI-O
    Cleanup,
}

/// The node's files and sockets.
#[derive(Args, Clone, Debug)]
pub struct NodePaths {
    /// Directory that is the root of the node's file system
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
    pub root: PathBuf,
    /// Container runtime of the node
    #[arg(long, value_enum, default_value_t, value_name = "RUNTIME", global = true)]
    pub runtime: RuntimeChoice,
    /// Method to reload CRI-O
    #[arg(long, value_enum, default_value_t, value_name = "METHOD", global = true)]
    pub reload: ReloadMethod,
    /// CRI-O's socket, relative to --root
    #[arg(long, value_name = "PATH", default_value = "/run/crio/crio.sock", global = true)]
    pub cri_socket: String,
    /// systemd's D-Bus socket, relative to --root
    #[arg(long, value_name = "PATH", default_value = "/run/dbus/system_bus_socket", global = true)]
    pub bus_socket: String,
    /// Configuration of containerd below --root, which has `config_path`
    #[arg(long, value_name = "PATH", default_value = CONFIG, global = true)]
    pub containerd_config: String,
}

impl NodePaths {
    /// The node's file system.
    ///
    /// # Errors
    /// If the root is not a directory.
    pub fn host(&self) -> std::io::Result<Host> {
        Host::open(&self.root)
    }

    /// The files of container runtimes that exist on the node.
    pub fn runtime_files(&self, host: &Host) -> RuntimeFiles {
        let first = |paths: &[&str]| paths.iter().find(|path| host.exists(path)).map(|path| (*path).to_owned());
        RuntimeFiles {
            crio: first(&[&self.cri_socket, "/etc/crio"]),
            containerd: first(&[&self.containerd_config, "/run/containerd/containerd.sock"]),
            containers: first(&[DROP_IN_DIRECTORY, CONTAINERS]),
        }
    }

    /// The method to reload CRI-O.
    pub fn reloader(&self, host: &Host) -> Reloader {
        Reloader { method: self.reload, bus: host.path(&self.bus_socket), cri: host.path(&self.cri_socket) }
    }
}
