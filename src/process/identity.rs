//! The identity of this process and its namespace.

use anyhow::{Context as _, Result};

/// The namespace of the pod, if it is not set in the environment.
///
/// # Errors
/// If the namespace is unknown.
pub fn own_namespace(flag: Option<String>) -> Result<String> {
    if let Some(namespace) = flag {
        return Ok(namespace);
    }
    std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        .map(|namespace| namespace.trim().to_owned())
        .context("no namespace for the Lease: set --namespace or POD_NAMESPACE, or run in a pod")
}

/// Host name and process ID, which are unique among replicas.
pub fn own_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
