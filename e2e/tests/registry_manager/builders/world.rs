//! What builds that really run need: a registry with a password and a certificate of its own authority, a mirror of base images, and
//! the Secrets of a user.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine as _;
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::pusher::Pusher;
use hypermirror_e2e::registry::{Access, PASSWORD, Program, Registry, Settings, USER};
use hypermirror_e2e::{Cluster, Process, eventually};
use serde_json::{Value, json};

use super::super::stage::{install, launch, secret};
use super::allow;

/// The namespace of the builds.
pub const NAMESPACE: &str = "real-builds";
/// Each stage has an image that is nowhere but in a mirror. The files get another owner than root, so that one ID is not enough.
pub const SOURCE: &str = "FROM base.example/app:program AS first\nRUN [\"/bin/crane\", \"version\"]\n\
    FROM base.example/app:program\nCOPY --from=first --chown=1234:1234 /bin/crane /bin/other\nRUN [\"/bin/other\", \"version\"]\n";

/// A registry-manager and a registry that wants a password and has a certificate of its own authority.
pub struct World {
    /// The objects of the API server.
    pub fleet: Fleet,
    /// The registry: base images are below `mirror`, builds push below `team`.
    pub registry: Registry,
    /// The way into it.
    pub pusher: Pusher,
    /// The registry-manager.
    pub manager: Process,
    _directory: tempfile::TempDir,
}

impl World {
    /// With more variables of the registry-manager.
    pub async fn start(cluster: &Cluster, more: &[(&str, &str)]) -> Result<Self> {
        install(cluster).await?;
        let fleet = Fleet { client: cluster.admin_client().await? };
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("builds")?;
        let settings = Settings { program: Program::Docker, authority: Some(&authority), access: Access::Password };
        let registry = Registry::launch(directory.path(), &settings).await?;
        let host = registry.host();
        let pusher = Pusher::new(&format!("https://{host}"), Some(&authority), Some((USER, PASSWORD)))?;
        let program = std::fs::read(Servers::from_env().find_registry("crane")?)?;
        pusher.push("mirror/app", &Content::of_program("bin/crane", &program), |_| true).await?;
        let mut process = launch(cluster, "builders").await?;
        for (name, value) in more {
            process = process.env(name, *value);
        }
        let manager = process
            .args(["--image-builder", "--inventory-bind-address=127.0.0.1:0"])
            .arg(format!("--destination-allow={host}/team"))
            .spawn()?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        fleet.apply(&namespace).await?;
        allow(&fleet, NAMESPACE).await?;
        let mirrors = json!({"imageTagMirrors": [
            {"source": "base.example", "mirrors": [format!("{host}/mirror")], "mirrorSourcePolicy": "NeverContactSource"},
        ]});
        fleet.apply(&json!({
            "apiVersion": "config.openshift.io/v1", "kind": "ImageTagMirrorSet", "metadata": {"name": "base"}, "spec": mirrors,
        }))
        .await?;
        let auth = base64::prelude::BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let docker = json!({"auths": {format!("{host}/mirror"): {"auth": auth}}}).to_string();
        for (name, kind, data) in [
            ("ca", "Opaque", json!({"ca.crt": authority.certificate()})),
            ("push", "Opaque", json!({"username": USER, "password": PASSWORD})),
            ("pull", "kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": docker})),
        ] {
            fleet.apply(&secret(NAMESPACE, name, kind, &data)).await?;
        }
        Ok(Self { fleet, registry, pusher, manager, _directory: directory })
    }

    /// An ImageBuilder of `team/app`.
    pub fn builder(&self, architecture: &str, version: &str, source: &str) -> Value {
        let image = json!({
            "name": format!("{}/team/app", self.registry.host()), "version": version,
            "credentialsSecret": {"name": "push"}, "certSecretRef": {"name": "ca"},
        });
        let spec = json!({
            "architecture": architecture, "image": image, "source": source, "pullSecrets": [{"name": "pull"}],
        });
        json!({
            "apiVersion": "buildah.io/v1alpha1", "kind": "ImageBuilder",
            "metadata": {"name": "app", "namespace": NAMESPACE}, "spec": spec,
        })
    }

    /// Waits until the build of a version has this phase.
    pub async fn phase(&self, limit: Duration, phase: &str, version: &str) -> Result<Value> {
        let any = self.builder("both", version, "FROM scratch");
        eventually(limit, &format!("{version} is {phase}"), async || {
            let found = self.fleet.api_of(&any)?.get("app").await?;
            let status = &found.data["status"];
            let is_of_version = status["image"].as_str().is_some_and(|image| image.ends_with(&format!(":{version}")));
            ensure!(status["phase"] == phase && is_of_version, "{status}");
            Ok(Some(status.clone()))
        })
        .await
    }

    /// A manifest of `team/app`.
    pub async fn manifest(&self, reference: &str) -> Result<Value> {
        let answer = self.pusher.get("team/app", &format!("manifests/{reference}")).await?;
        ensure!(answer.status.is_success(), "{reference}: {answer:?}");
        Ok(serde_json::from_slice(&answer.body)?)
    }
}
