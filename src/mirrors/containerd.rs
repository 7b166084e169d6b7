//! Writes containerd's configuration of registries, `hosts.toml`, for a set of mirrors.
//!
//! The rules are those of containerd 1.6 to 2.2 (`docs/hosts.md`, `remotes/docker/config/hosts.go`, `resolver.go`). Each
//! file applies to all repositories of one registry, and containerd reads it at each pull. A file that containerd cannot
//! parse is ignored, so that it contacts the source; hence nothing is written that it might not accept. What the format
//! cannot express is left out and named in [`Rendered::left_out`].

mod directory;
mod explain;
mod left_out;
mod plan;
mod text;

pub use directory::{HostDirectory, HostFile, HostsDirectory};
pub use explain::explain;
pub use left_out::{LeftOut, LeftOutReason};
pub use plan::{HostMirror, RegistryHosts};
pub use text::{HEADER, HOSTS_FILE, Rendered, render};

/// The reason of a node's warning that containerd may ignore all files, because `config_path` is a list of directories.
pub const CONFIG_PATH_LIST: &str = "ConfigPathList";

#[cfg(test)]
mod tests;
