//! Whether a real node can be had here, and what a scenario says when not.

use std::{io::Write as _, path::Path, process::Command, sync::OnceLock};

use super::config::{CNI_PLUGINS, system_program};
use crate::binaries::Servers;

/// Set to `off`: as if no node could be had.
const VARIABLE: &str = "HYPERMIRROR_E2E_NODE";

/// What `hack/testbed/build-node` builds.
const BUILT: [&str; 7] = ["kubelet", "kube-scheduler", "machine", "pause", "crio", "crictl", "pinns"];
/// What Debian has, by package.
const INSTALLED: [(&str, &str); 6] = [
    ("conmon", "conmon"),
    ("runc", "runc"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("nsenter", "util-linux"),
    ("env", "coreutils"),
];

/// Why no real node can be had here, if so.
pub(super) fn unavailable() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(look).clone()
}

fn look() -> Option<String> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "off") {
        return Some(format!("{VARIABLE}=off"));
    }
    if !rustix::process::geteuid().is_root() {
        return Some("a node needs root".to_owned());
    }
    let servers = Servers::from_env();
    if let Some(reason) = servers.node_missing() {
        return Some(reason);
    }
    if let Some(error) = BUILT.into_iter().find_map(|program| servers.find(program).err()) {
        return Some(error.to_string());
    }
    if let Some((program, package)) = INSTALLED.into_iter().find(|(program, _)| system_program(program).is_none()) {
        return Some(format!("{program} is not installed (Debian: {package}; hack/setup installs it)"));
    }
    let plugin = Path::new(CNI_PLUGINS).join("loopback");
    if !plugin.is_file() {
        return Some(format!("no {} (Debian: containernetworking-plugins)", plugin.display()));
    }
    // Root of a container may not make namespaces, or not mount in them.
    let tried = Command::new("unshare").args(["--mount-proc", "--pid", "--ipc", "--fork", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: unshare: {error}")),
    }
}

/// Says that the running test is skipped. `.ci/run` counts these lines, and takes them off what passed.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("a scenario"));
    // Not by a macro: libtest would keep it to itself, as the test passes.
    _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Returns from a test, as skipped, where no real node can be had.
#[macro_export]
macro_rules! needs_node {
    () => {
        if let Some(reason) = $crate::RealNode::unavailable() {
            $crate::node::skip(&reason);
            return Ok(());
        }
    };
}
