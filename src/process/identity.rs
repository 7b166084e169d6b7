//! Who this process is, and in which namespace it runs.

use anyhow::{Context as _, Result};

/// The pod's own namespace, where the environment does not say.
///
/// # Errors
/// If nothing says.
pub fn own_namespace(flag: Option<String>) -> Result<String> {
    if let Some(namespace) = flag {
        return Ok(namespace);
    }
    std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        .map(|namespace| namespace.trim().to_owned())
        .context("no namespace for the Lease: set --namespace or POD_NAMESPACE, or run in a pod")
}

/// Host name and process id: a name that no other instance has.
pub fn own_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
