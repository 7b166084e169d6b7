//! The conformance program of the OCI's distribution specification, as a judge of a registry.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::binaries::Servers;

/// The specification that is asked for: 1.1 and what is agreed on for the next one.
const VERSION: &str = "dev";

/// The status of each API and each kind of content that was tested: `Pass`, `FAIL`, `Error`, `Skip`, `Disabled`.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// By API, such as `Blob chunked`.
    pub apis: BTreeMap<String, String>,
    /// By kind of content, such as `Nested Index`.
    pub data: BTreeMap<String, String>,
    /// What the program printed: each failure with its reason.
    #[serde(skip)]
    pub log: String,
}

impl Report {
    /// Lets the program judge the registry on `host` over HTTP; its reports go to `directory`. `sparse`: it must take
    /// manifests whose content was never pushed.
    ///
    /// # Errors
    ///
    /// When the program is not built, or does not come to a result. A failed test is none.
    pub async fn of(host: &str, directory: &Path, sparse: bool) -> Result<Self> {
        let program = Servers::from_env().find_registry("oci-conformance")?;
        let mut command = Command::new(program);
        // Nothing of the caller's environment configures it.
        command.env_clear().current_dir(directory).kill_on_drop(true);
        command.env("OCI_REGISTRY", host).env("OCI_TLS", "disabled").env("OCI_VERSION", VERSION);
        command.env("OCI_RESULTS_DIR", directory).env("OCI_DATA_SPARSE", sparse.to_string());
        let output = command.output().await.context("start oci-conformance")?;
        let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let text = std::fs::read_to_string(directory.join("results.yaml"))
            .with_context(|| format!("read the results of oci-conformance, which printed:\n{log}"))?;
        let mut report: Self = serde_yaml::from_str(&text).context("read the results of oci-conformance")?;
        report.log = log;
        // Its own word must agree with what is read of it.
        let has_failed = report.others().iter().any(|(_, status)| matches!(*status, "FAIL" | "Error"));
        ensure!(output.status.success() != has_failed, "oci-conformance ended with {}:\n{}", output.status, report.log);
        Ok(report)
    }

    /// What did not pass, with its status: what failed, was skipped, or was not tested at all.
    pub fn others(&self) -> Vec<(&str, &str)> {
        let all = self.apis.iter().chain(&self.data).map(|(name, status)| (name.as_str(), status.as_str()));
        all.filter(|(_, status)| *status != "Pass").collect()
    }
}
