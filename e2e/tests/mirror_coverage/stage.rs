//! A hosted cluster whose release is at a source and at two mirrors, which want credentials and have a private authority.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms};
use hypermirror_e2e::fleet::{NAMESPACE, SOON, SYSTEM};
use hypermirror_e2e::mock::User;
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::release::{Release, Repositories, own_layer};
use hypermirror_e2e::{Cluster, Launch, MockRegistry, Process, Scene, binaries, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

pub const USER: &str = "system:serviceaccount:hypermirror-system:hypermirror-registry-manager";
const SERVICE_ACCOUNT: &str = "hypermirror-registry-manager";
/// The process's own user for destinations.
const WRITER: &str = "writer";
const PASSWORD: &str = "canary-c0v3rage";
/// The repositories of a release: of its images, and of itself.
const ART: &str = "ocp/art";
const RELEASE: &str = "ocp/release";

pub struct Stage {
    /// Dropped before the servers that it asks.
    _process: Process,
    pub scene: Scene,
    pub source: MockRegistry,
    /// It lacks a layer of `etcd` for arm64.
    pub mirror: MockRegistry,
    /// It lacks nothing.
    pub full: MockRegistry,
    pub release: Digest,
    pub next: Digest,
    /// The layer that the mirror lacks.
    pub lost: Digest,
}

impl Stage {
    /// HostedCluster `west` with a NodePool, and the registry-manager, which may read no Secret yet.
    pub async fn set() -> Result<Self> {
        Self::set_with(|_| Vec::new()).await
    }

    /// The same with more arguments for the registry-manager, which may name the mirror.
    pub async fn set_with(arguments: impl FnOnce(&MockRegistry) -> Vec<String>) -> Result<Self> {
        let authority = Authority::new("coverage")?;
        let (source, mirror, full) =
            (registry(&authority).await?, registry(&authority).await?, registry(&authority).await?);
        let host = source.host();
        let places = Repositories { source: &host, images: ART, release: RELEASE };
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let Release { digest: release, .. } =
            Release::add(&mut source.store(), places, &names(&["hypershift", "etcd"]))?;
        let everything = source.store().repositories.clone();
        mirror.store().repositories.clone_from(&everything);
        full.store().repositories = everything;
        // Only the source has the next one.
        let Release { digest: next, .. } = Release::add(&mut source.store(), places, &names(&["hypershift", "tools"]))?;
        let lost = full.store().add_blob(ART, own_layer("etcd", "arm64"));
        mirror.store().repository(ART).blobs.remove(&lost);

        let scene = Scene::start().await?;
        let fleet = &scene.fleet;
        let root = binaries::repository_root();
        fleet.apply_file(&root.join("manifests/components/registry-manager/rbac.yaml")).await?;
        fleet.hosted_cluster("west", &[], "=").await?;
        let mut bundle = object("ConfigMap", "trust");
        bundle["data"] = json!({"ca-bundle.crt": authority.certificate()});
        fleet.apply(&bundle).await?;
        let sources = json!([{"source": format!("{host}/ocp"), "mirrors": [format!("{}/ocp", mirror.host())]}]);
        let image = format!("{host}/{RELEASE}@{release}");
        let spec = json!({
            "release": {"image": image}, "additionalTrustBundle": {"name": "trust"}, "imageContentSources": sources,
        });
        fleet.merge(&hosted_cluster("west", &[]), &json!({"spec": spec})).await?;
        let (from, to) = (format!("{host}/ocp"), format!("{}/ocp", full.host()));
        fleet.apply(&idms("management", &[(&from, &[&to], None)])).await?;
        fleet.apply(&pool(&image)).await?;
        let process = start(scene.management(), arguments(&mirror)).await?;
        Ok(Self { _process: process, scene, source, mirror, full, release, next, lost })
    }

    /// Lets the registry-manager read the pull secret, as the overlay does, and creates it.
    pub async fn share_pull_secret(&self) -> Result<()> {
        let role = binaries::repository_root().join("manifests/overlays/coverage-pull-secrets/role.yaml");
        self.scene.fleet.apply_file(&role).await?;
        let auth = BASE64_STANDARD.encode(format!("alice:{PASSWORD}"));
        let hosts = [&self.source, &self.mirror, &self.full].map(|registry| (registry.host(), json!({"auth": auth})));
        let auths: serde_json::Map<String, Value> = hosts.into_iter().collect();
        let mut secret = object("Secret", "pull-secret");
        secret["type"] = "kubernetes.io/dockerconfigjson".into();
        secret["stringData"] = json!({".dockerconfigjson": json!({"auths": auths}).to_string()});
        self.scene.fleet.apply(&secret).await.map(|_| ())
    }

    /// Where the hosted cluster and its nodes pull from instead of the source.
    pub async fn mirror_to(&self, registry: &MockRegistry) -> Result<()> {
        let mirrors = [format!("{}/ocp", registry.host())];
        let sources = json!([{"source": format!("{}/ocp", self.source.host()), "mirrors": mirrors}]);
        let patch = json!({"spec": {"imageContentSources": sources}});
        self.scene.fleet.merge(&hosted_cluster("west", &[]), &patch).await.map(|_| ())
    }

    /// The updates that the hosted cluster is offered.
    pub async fn offer(&self, updates: &[(&str, &str)]) -> Result<()> {
        let updates: Vec<Value> = updates
            .iter()
            .map(|(version, digest)| {
                json!({"version": version, "image": format!("{}/{RELEASE}@{digest}", self.source.host())})
            })
            .collect();
        let image = format!("{}/{RELEASE}@{}", self.source.host(), self.release);
        let version = json!({
            "desired": {"image": image, "version": "4.20.1"}, "history": [], "observedGeneration": 1,
            "availableUpdates": updates,
        });
        let api = self.scene.fleet.api_of(&hosted_cluster("west", &[]))?;
        let patch = Patch::Merge(json!({"status": {"version": version}}));
        api.patch_status("west", &PatchParams::default(), &patch).await?;
        Ok(())
    }

    pub async fn status(&self) -> Result<Value> {
        let found = self.scene.fleet.api_of(&coverage())?.get("west").await?;
        Ok(found.data.get("status").cloned().unwrap_or_default())
    }

    /// Waits until the condition `Held` has this status and reason.
    pub async fn held(&self, status: &str, reason: &str) -> Result<Value> {
        self.wait_for(&format!("Held is {status} ({reason})"), |seen| condition(seen, "Held") == Some((status, reason)))
            .await
    }

    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, what, async || {
            let status = self.status().await?;
            ensure!(wanted(&status), "{status:#}");
            Ok(Some(status))
        })
        .await
    }

    /// Asks for a check and waits until it is acknowledged.
    pub async fn check(&self, value: &str) -> Result<Value> {
        let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/check-now": value}}});
        self.scene.fleet.merge(&coverage(), &annotation).await?;
        self.wait_for("the check is acknowledged", |status| status["lastHandledCheckNow"] == value).await
    }

    /// Whether the mirror has the layer.
    pub fn is_filled(&self) -> bool {
        self.mirror.store().blob(ART, &self.lost).is_some()
    }

    /// Lets the registry-manager fill the mirrors of the hosted cluster.
    pub async fn allow_filling(&self) -> Result<()> {
        let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/fill": "true"}}});
        self.scene.fleet.merge(&hosted_cluster("west", &[]), &annotation).await.map(|_| ())
    }

    /// Makes both mirrors lose a layer of an image.
    pub fn lose(&self, image: &str) {
        for registry in [&self.mirror, &self.full] {
            let mut store = registry.store();
            let layer = store.add_blob(ART, own_layer(image, "amd64"));
            store.repository(ART).blobs.remove(&layer);
        }
    }

    /// Gives that layer back to both.
    pub fn find(&self, image: &str) {
        for registry in [&self.mirror, &self.full] {
            registry.store().add_blob(ART, own_layer(image, "amd64"));
        }
    }

    /// Copies what the mirror lacks.
    pub fn fill(&self) {
        self.mirror.store().add_blob(ART, own_layer("etcd", "arm64"));
    }
}

async fn registry(authority: &Authority) -> Result<MockRegistry> {
    MockRegistry::builder().tls(authority).basic([reader(), User::new(WRITER, PASSWORD)]).start().await
}

/// The user of the pull secret, which is for reading.
pub fn reader() -> User {
    User::new("alice", PASSWORD).only("", &["pull"])
}

async fn start(cluster: &Cluster, arguments: Vec<String>) -> Result<Process> {
    let kubeconfig: PathBuf = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    Launch::operator("registry-manager", cluster.directory())?
        .arg("registry-manager")
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .args(["--inventory-bind-address=127.0.0.1:0", "--registry-networks=loopback"])
        .arg(format!("--namespace={SYSTEM}"))
        .args(arguments)
        .env("CREDS_DESTINATION_USERNAME", WRITER)
        .env("CREDS_DESTINATION_PASSWORD", PASSWORD)
        .env("KUBECONFIG", kubeconfig)
        .spawn()
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}})
}

/// The MirrorCoverage, by name.
pub fn coverage() -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "MirrorCoverage",
        "metadata": {"name": "west", "namespace": NAMESPACE}
    })
}

fn pool(image: &str) -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": "workers", "namespace": NAMESPACE},
        "spec": {
            "clusterName": "west", "replicas": 1, "release": {"image": image},
            "management": {"upgradeType": "Replace"}, "platform": {"type": "None"}
        }
    })
}

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?, found["reason"].as_str()?))
}

/// An object of a list with this value in a field.
pub fn find<'a>(list: &'a Value, field: &str, value: &str) -> Result<&'a Value> {
    let found = list.as_array().into_iter().flatten().find(|item| item[field] == value);
    found.with_context(|| format!("no {field} {value} in {list}"))
}
