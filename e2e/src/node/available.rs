//! Whether a real node can run on this machine, and the message of a scenario that is skipped.

use std::{io::Write as _, path::Path, process::Command, sync::OnceLock};

use super::config::{CNI_PLUGINS, system_program};
use crate::binaries::Servers;

/// If set to `off`, tests behave as if no node could run.
const VARIABLE: &str = "HYPERMIRROR_E2E_NODE";

/// The programs that `hack/testbed/build-node` builds.
const BUILT: [&str; 9] = ["kubelet", "kube-scheduler", "machine", "pause", "relay", "crio", "crictl", "pinns", "runc"];
/// The programs of Debian, by package.
const INSTALLED: [(&str, &str); 5] = [
    ("conmon", "conmon"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("nsenter", "util-linux"),
    ("env", "coreutils"),
];

/// Why no real node can run on this machine, if so.
pub(super) fn unavailable() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(problem).clone()
}

fn problem() -> Option<String> {
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
    // In a container, root may not be allowed to create namespaces, or to mount in them.
    let tried = Command::new("unshare").args(["--mount-proc", "--pid", "--ipc", "--fork", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: unshare: {error}")),
    }
}

/// Prints that the current test is skipped. `.ci/run` counts these lines and subtracts them from the passed tests.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("a scenario"));
    // Not with a macro, because libtest captures the output of tests that pass.
    _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Skips a test if no real node can run.
#[macro_export]
macro_rules! needs_node {
    () => {
        if let Some(reason) = $crate::RealNode::unavailable() {
            $crate::node::skip(&reason);
            return Ok(());
        }
    };
}
