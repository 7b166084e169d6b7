//! Installs the admission of the manifests: the webhook, on the loopback address, or the policies.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use kube::api::PostParams;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::manager::ManagerLaunch;
use super::{Fleet, PROBES, SOON, TARGETS, deployments};
use crate::pki::Authority;
use crate::{eventually, port};

/// The admission that restores hypermirror's entries in writes of stock operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// No admission.
    None,
    /// The webhook, on this port.
    Webhook(u16),
    /// The policies.
    Policy,
}

/// The configuration of the webhook, by name.
pub fn webhook_configuration() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "hypermirror"}
    })
}

/// The issuer of the webhook's certificates, in place of cert-manager or service-ca: one authority for all scenarios of a
/// process.
///
/// # Errors
///
/// If it cannot be made.
pub fn authority() -> Result<&'static Authority> {
    static AUTHORITY: OnceLock<Option<Authority>> = OnceLock::new();
    AUTHORITY
        .get_or_init(|| Authority::new("webhook").ok())
        .as_ref()
        .context("failed to create the webhook's authority")
}

/// Issues a new certificate for the webhook in a directory, with the files of a mounted Secret.
///
/// # Errors
///
/// If it cannot be made or written.
pub fn issue(directory: &Path) -> Result<()> {
    let server = authority()?.server(&["127.0.0.1"])?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("tls.crt"), &server.certificate)?;
    std::fs::write(directory.join("tls.key"), &server.key)?;
    Ok(())
}

fn component(name: &str, file: &str) -> PathBuf {
    crate::binaries::repository_root().join("manifests/components").join(name).join(file)
}

impl Admission {
    /// The webhook on a free port.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn webhook() -> Result<Self> {
        port::free().map(Self::Webhook)
    }

    /// Configures a manager to serve it, with a certificate that is issued when the manager starts.
    #[must_use]
    pub fn serve(self, launch: ManagerLaunch) -> ManagerLaunch {
        match self {
            Self::Webhook(port) => {
                launch.arg("--webhook=serve").arg(format!("--webhook-bind-address=127.0.0.1:{port}"))
            }
            Self::None | Self::Policy => launch,
        }
    }
}

impl Fleet {
    /// Installs the objects of the admission's overlay. The webhook is configured with a URL.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn admit(&self, admission: Admission) -> Result<()> {
        match admission {
            Admission::None => Ok(()),
            Admission::Policy => {
                for file in ["rbac.yaml", "targets.yaml", "hosted-clusters.yaml"] {
                    self.apply_file(&component("admission-policy", file)).await?;
                }
                Ok(())
            }
            Admission::Webhook(port) => {
                self.apply_file(&component("webhook", "rbac.yaml")).await?;
                let text = std::fs::read_to_string(component("webhook", "webhook.yaml"))?;
                let bundle = k8s_openapi::ByteString(authority()?.certificate().into_bytes());
                let mut configuration = Value::deserialize(serde_yaml::Deserializer::from_str(&text))?;
                for webhook in configuration["webhooks"].as_array_mut().context("no webhooks")? {
                    let path = webhook["clientConfig"]["service"]["path"].as_str().context("no path")?;
                    webhook["clientConfig"] =
                        json!({"url": format!("https://127.0.0.1:{port}{path}"), "caBundle": bundle});
                }
                self.apply(&configuration).await.map(|_| ())
            }
        }
    }

    /// Removes an admission.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn dismiss(&self, admission: Admission) -> Result<()> {
        match admission {
            Admission::None => {}
            Admission::Webhook(_) => self.delete(&webhook_configuration()).await?,
            Admission::Policy => {
                for kind in ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
                    for name in ["hypermirror-targets", "hypermirror-hosted-clusters"] {
                        let version = "admissionregistration.k8s.io/v1";
                        self.delete(&json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})).await?;
                    }
                }
            }
        }
        eventually(SOON, "the admission no longer restores entries", async || {
            Ok((!self.restores_entry(TARGETS[1]).await?).then_some(()))
        })
        .await
    }

    /// Waits until the API server calls the admission and gets responses.
    ///
    /// # Errors
    ///
    /// If it has not in time.
    pub async fn admits(&self) -> Result<()> {
        eventually(SOON, "the admission restores missing entries", async || {
            ensure!(self.restores_entry(TARGETS[1]).await?, "it does not");
            Ok(Some(()))
        })
        .await
    }

    /// Number of writes that were admitted without the webhook, because it did not respond in time on a loaded machine.
    ///
    /// # Errors
    ///
    /// If the server does not tell.
    pub async fn unanswered(&self) -> Result<usize> {
        let metrics = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let failures = metrics.lines().filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count"));
        let counts = failures.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        Ok(counts.sum())
    }

    /// Whether the admission changes a new Deployment of this name, tested with a dry run.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn restores_entry(&self, target: &str) -> Result<bool> {
        let mut object = deployments::target(PROBES, target, Some("="), "=");
        object["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": "probe.example=m.example"});
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let stored = self.api_of(&object)?.create(&params, &serde_json::from_value(object)?).await?;
        Ok(deployments::env_values(&serde_json::to_value(stored)?).len() == 2)
    }
}
