//! Where the programs are that a scenario runs.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where the reader of an error message finds what is missing.
const BUILD: &str = "hack/testbed/build";

/// The convention of Kubernetes' own test tools: a directory with etcd and kube-apiserver.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

const OPERATOR_VARIABLE: &str = "HYPERMIRROR_BIN";

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
    /// `KUBEBUILDER_ASSETS` comes first, then what `hack/testbed/build` built.
    pub fn from_env() -> Self {
        let assets = std::env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let built = repository_root().join("target/testbed/bin");
        Self { directories: assets.into_iter().chain([built]).collect() }
    }

    /// The path of one program.
    ///
    /// # Errors
    ///
    /// When no directory has it: names the directories and what builds it.
    pub fn find(&self, program: &str) -> Result<PathBuf> {
        let candidates = self.directories.iter().map(|directory| directory.join(program));
        if let Some(path) = candidates.into_iter().find(|path| path.is_file()) {
            return Ok(path);
        }
        bail!("no {program} in {:?}: run {BUILD}, or set {ASSETS_VARIABLE}", self.directories)
    }
}

/// The operator: `HYPERMIRROR_BIN`, or the `hypermirror` that was built with the running test.
///
/// # Errors
///
/// When there is none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_is_reported_with_what_builds_it() {
        let servers = Servers { directories: vec!["/nonexistent".into()] };
        let error = servers.find("etcd").unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains(BUILD), "{error}");
    }
}
