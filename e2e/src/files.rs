//! The directory of one cluster: its keys, certificates, policies and kubeconfigs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    audit,
    credentials::{Credentials, kubeconfig},
    pki::{Authority, Validity, service_account_keys},
};

/// The host names of an API server of the test bed. The last one is used inside guest clusters.
const SERVER_NAMES: [&str; 4] = ["127.0.0.1", "localhost", "kubernetes.default.svc", "kube-apiserver"];

/// Files that a cluster's servers and clients read.
#[derive(Debug)]
pub(crate) struct ClusterFiles {
    pub(crate) directory: PathBuf,
    pub(crate) authority: Authority,
}

impl ClusterFiles {
    /// Creates the directory and its files, with kubeconfigs for the administrator, the controller manager and the scheduler.
    pub(crate) fn create(directory: &Path, cluster: &str, server: &str) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
        let authority = Authority::new(&format!("hypermirror test bed, {cluster}"))?;
        let files = Self { directory: directory.to_owned(), authority };
        let serving = files.authority.server(&SERVER_NAMES)?;
        let of_kubelets = files.authority.client("kube-apiserver", Some("system:masters"), Validity::Current)?;
        let (private, public) = service_account_keys()?;
        for (name, text) in [
            ("ca.crt", files.authority.certificate()),
            ("tls.crt", serving.certificate),
            ("tls.key", serving.key),
            ("kubelet-client.crt", of_kubelets.certificate),
            ("kubelet-client.key", of_kubelets.key),
            ("sa.key", private),
            ("sa.pub", public),
            ("audit-policy.yaml", audit::POLICY.to_owned()),
        ] {
            std::fs::write(files.path(name), text)?;
        }
        for user in ["admin", "system:kube-controller-manager", "system:kube-scheduler"] {
            let certificate = files.authority.client(user, Some("system:masters"), Validity::Current)?;
            let credentials = Credentials::Certificate(certificate);
            let text = kubeconfig(cluster, server, &files.authority.certificate(), &credentials)?;
            std::fs::write(files.kubeconfig(user.trim_start_matches("system:")), text)?;
        }
        Ok(files)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.kubeconfig"))
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.path("audit.jsonl")
    }
}
