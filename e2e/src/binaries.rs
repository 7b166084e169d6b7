//! Finds the programs that scenarios run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// The command that an error message recommends to build missing programs.
const BUILD: &str = "hack/testbed/build";

/// The command that builds registries and the conformance program.
const REGISTRIES: &str = "hack/registries/build";

/// What builds the program of the agent's image.
const IMAGE: &str = "hack/testbed/agent-image";

/// The variable of Kubernetes' test tools for a directory with etcd and kube-apiserver.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The file in which `hack/testbed/build` records why it could not build the programs of a node.
const NODE_MISSING: &str = "node-missing";

const OPERATOR_VARIABLE: &str = "HYPERMIRROR_BIN";
const AGENT_VARIABLE: &str = "HYPERMIRROR_AGENT_BIN";

/// The root of the repository.
pub fn repository_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The servers of the test bed.
#[derive(Debug, Clone)]
pub struct Servers {
    directories: Vec<PathBuf>,
}

impl Servers {
    /// Looks in `KUBEBUILDER_ASSETS` first, then in the output of `hack/testbed/build`.
    pub fn from_env() -> Self {
        let assets = std::env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let built = repository_root().join("target/testbed/bin");
        Self { directories: assets.into_iter().chain([built]).collect() }
    }

    /// The path of one program.
    ///
    /// # Errors
    ///
    /// If no directory has it: names the directories and what builds it.
    pub fn find(&self, program: &str) -> Result<PathBuf> {
        let candidates = self.directories.iter().map(|directory| directory.join(program));
        if let Some(path) = candidates.into_iter().find(|path| path.is_file()) {
            return Ok(path);
        }
        bail!("no {program} in {:?}: run {BUILD}, or set {ASSETS_VARIABLE}", self.directories)
    }

    /// The path of a program of `hack/registries`.
    ///
    /// # Errors
    ///
    /// If no directory has it. The error names the command that builds it.
    pub fn find_registry(&self, program: &str) -> Result<PathBuf> {
        self.find(program).with_context(|| format!("{program} is built by {REGISTRIES}"))
    }

    /// Why `hack/testbed/build` could not build the programs of a node, if so.
    pub fn node_missing(&self) -> Option<String> {
        let read = |directory: &PathBuf| std::fs::read_to_string(directory.join(NODE_MISSING)).ok();
        self.directories.iter().find_map(read).map(|reason| reason.trim().to_owned())
    }
}

/// The operator: `HYPERMIRROR_BIN`, or the `hypermirror` that was built with the running test.
///
/// # Errors
///
/// If there is none.
pub fn operator() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(OPERATOR_VARIABLE) {
        return Ok(path.into());
    }
    // Tests run from target/PROFILE/deps, programs from target/PROFILE.
    let own = std::env::current_exe()?;
    let candidates = own.ancestors().skip(1).take(2).map(|directory| directory.join("hypermirror"));
    match candidates.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("no hypermirror near {}: run cargo build, or set {OPERATOR_VARIABLE}", own.display()),
    }
}

/// The agent: `HYPERMIRROR_AGENT_BIN`, or the `hypermirror-agent` beside the operator.
///
/// # Errors
///
/// If there is none.
pub fn agent() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(AGENT_VARIABLE) {
        return Ok(path.into());
    }
    let path = operator()?.with_file_name("hypermirror-agent");
    ensure!(path.is_file(), "no {}: run cargo build, or set {AGENT_VARIABLE}", path.display());
    Ok(path)
}

/// The agent as a static program without symbols, for an image of one layer: `hypermirror-agent-static` in the same directory.
///
/// # Errors
///
/// If there is none, or it is older than a source of the agent: names what builds it.
pub fn static_agent() -> Result<PathBuf> {
    let agent = agent()?;
    let path = agent.with_file_name("hypermirror-agent-static");
    let modified = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified());
    let Ok(built) = modified(&path) else { bail!("no {}: run {IMAGE}", path.display()) };
    // Compare with the sources and not with the agent, which cargo links again if tests enable other features.
    let rule = std::fs::read_to_string(agent.with_extension("d")).unwrap_or_default();
    match sources(&rule).find(|source| modified(source).is_ok_and(|time| time > built)) {
        Some(source) => bail!("{} is older than {}: run {IMAGE}", path.display(), source.display()),
        None => Ok(path),
    }
}

/// The sources of a program, from the dep-info file of cargo: `PROGRAM: SOURCE SOURCE ...`.
fn sources(rule: &str) -> impl Iterator<Item = &Path> {
    rule.split_once(": ").into_iter().flat_map(|(_, sources)| sources.split_whitespace()).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_a_program_are_read_from_cargos_rule() {
        let rule = "/target/debug/hypermirror: /api/src/lib.rs /src/main.rs\n";
        assert_eq!(sources(rule).collect::<Vec<_>>(), ["/api/src/lib.rs", "/src/main.rs"].map(Path::new));
        assert_eq!(sources("").count(), 0);
    }

    #[test]
    fn a_missing_server_is_reported_with_the_command_that_builds_it() {
        let servers = Servers { directories: vec!["/nonexistent".into()] };
        let error = servers.find("etcd").unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains(BUILD), "{error}");
    }
}
