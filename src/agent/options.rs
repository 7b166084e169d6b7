//! The flags of `hypermirror agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::files::Host;
use super::inputs::Source;
use super::reload::{Method, Reloader};
use crate::manager::options::parse_address;
use crate::telemetry::logs::LogFormat;

/// The flags of `hypermirror agent`.
#[derive(Args, Clone, Debug)]
pub struct AgentOptions {
    #[command(subcommand)]
    #[allow(missing_docs)] // a doc comment here would become the help of the subcommand
    pub action: Option<AgentAction>,
    /// This node's name
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Where mirrors are declared: the NodeMirrorSets of a guest, or the mirror objects of the cluster itself
    #[arg(long, value_enum, default_value_t)]
    pub source: Source,
    #[command(flatten)]
    #[allow(missing_docs)] // a doc comment here would become the help of the flattened flags
    pub place: Place,
    /// Where metrics are served (port 0: any, the log says which)
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = parse_address)]
    pub metrics_bind_address: SocketAddr,
    /// Where /healthz and /readyz are served (port 0: any, the log says which)
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", value_parser = parse_address)]
    pub health_probe_bind_address: SocketAddr,
    /// How logs look
    #[arg(long, value_enum, default_value_t, global = true)]
    pub log_format: LogFormat,
}

/// What the agent does instead of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum AgentAction {
    /// Remove the file that the agent wrote, and have the container runtime read again
    Cleanup,
}

/// Where the node's files and sockets are.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The prefix of all paths of the node
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
    pub root: PathBuf,
    /// How CRI-O is made to read a change
    #[arg(long, value_enum, default_value_t, global = true)]
    pub reload: Method,
    /// CRI-O's socket, below the root
    #[arg(long, value_name = "PATH", default_value = "/run/crio/crio.sock", global = true)]
    pub cri_socket: String,
    /// systemd's bus, below the root
    #[arg(long, value_name = "PATH", default_value = "/run/dbus/system_bus_socket", global = true)]
    pub bus_socket: String,
}

impl Place {
    /// The node's file system.
    ///
    /// # Errors
    /// If the root is no directory.
    pub fn host(&self) -> std::io::Result<Host> {
        Host::open(&self.root)
    }

    /// How CRI-O is told.
    pub fn reloader(&self, host: &Host) -> Reloader {
        Reloader { method: self.reload, bus: host.path(&self.bus_socket), cri: host.path(&self.cri_socket) }
    }
}
