//! What the scenarios share: a bed, the registry-manager, and a proxy that leads the names of the first operator's manifests to
//! mock registries.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::{SOON, SYSTEM};
use hypermirror_e2e::mock::User;
pub use hypermirror_e2e::mock::add_image;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::Proxy;
use hypermirror_e2e::{
    Audit, Cluster, Collector, Crds, Fleet, Launch, MockRegistry, Process, SharedBed, Testbed, binaries, eventually,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The ServiceAccount of the manifests.
pub const SERVICE_ACCOUNT: &str = "hypermirror-registry-manager";
/// Its user name.
pub const USER: &str = "system:serviceaccount:hypermirror-system:hypermirror-registry-manager";
/// The media type of an image.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker Hub in the first operator's manifests.
const HUB: &str = "registry-1.docker.io";
/// The private registry in them.
const PRIVATE: &str = "registry.example.com";
/// The source of Images in the manifests of the operator that copied them.
const QUAY: &str = "quay.io";
/// A destination of Images. The process's own credentials are for it.
pub const MIRROR: &str = "mirror.example.com";
/// The process's own user there, and one for Secrets.
const WRITER: [&str; 2] = ["writer", "writer-pass"];
/// The user that Secrets name.
pub const ROBOT: [&str; 2] = ["robot", "canary-5d1e90"];

static BED: SharedBed = SharedBed::new(Testbed::builder);
/// How many processes there were.
static STARTED: AtomicUsize = AtomicUsize::new(0);
/// The scenarios hold it: with the last one that runs the process ends. Nothing drops what a static owns.
static WORLD: Mutex<Weak<World>> = Mutex::const_new(Weak::new());

/// Servers outlive the scenario that is the first to need them.
fn servers() -> &'static Runtime {
    static SERVERS: OnceLock<Runtime> = OnceLock::new();
    SERVERS.get_or_init(|| Runtime::new().unwrap())
}

/// What scenarios that run at the same time share.
pub struct World {
    /// The process. Dropped before the servers that it asks.
    pub manager: Process,
    /// Its metrics.
    pub metrics: String,
    /// Its inventories.
    pub inventories: String,
    /// Its traces.
    pub traces: Collector,
    /// The registries, by the names that the process knows.
    pub registries: Registries,
}

/// Mock registries behind names of the world.
pub struct Registries {
    /// Docker Hub.
    pub hub: MockRegistry,
    /// `quay.io`.
    pub quay: MockRegistry,
    /// [`MIRROR`].
    pub mirror: MockRegistry,
    _private: MockRegistry,
    proxy: Proxy,
}

/// One scenario's view.
pub struct Stage {
    /// The process and its servers.
    pub world: Arc<World>,
    /// The objects of the API server.
    pub fleet: Fleet,
    /// The cluster.
    pub cluster: &'static Cluster,
    /// Its audit log.
    pub audit: Audit,
    /// A namespace of this scenario.
    pub namespace: String,
}

impl Stage {
    /// With a namespace of this name.
    pub async fn new(namespace: &str) -> Result<Self> {
        let cluster = BED.get().await?.management();
        let fleet = Fleet { client: cluster.admin_client().await? };
        let world = World::running(cluster).await?;
        let stage = Self { world, fleet, cluster, audit: cluster.audit().await?, namespace: namespace.to_owned() };
        stage.add_namespace(namespace).await?;
        Ok(stage)
    }

    /// Another namespace.
    pub async fn add_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.fleet.apply(&namespace).await.map(|_| ())
    }

    /// A Registry in the scenario's namespace, with more in its spec.
    pub fn object(&self, name: &str, url: &str, repository: &str, more: &Value) -> Value {
        let mut spec = json!({"url": url, "repository": repository, "scanInterval": 3_600});
        spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        registry(&self.namespace, name, &spec)
    }

    /// The status of a Registry.
    pub async fn status(&self, object: &Value) -> Result<Value> {
        let name = object["metadata"]["name"].as_str().context("no name")?;
        let found = self.fleet.api_of(object)?.get(name).await?;
        Ok(found.data.get("status").cloned().unwrap_or_default())
    }

    /// Waits until a status is as it should be.
    pub async fn wait_for_status(&self, object: &Value, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, &format!("{} shows {what}", object["metadata"]["name"]), async || {
            let status = self.status(object).await?;
            ensure!(wanted(&status), "{status}");
            Ok(Some(status))
        })
        .await
    }

    /// Asks for a scan and waits until it is acknowledged.
    pub async fn scan(&self, object: &Value, value: &str) -> Result<Value> {
        let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/scan-now": value}}});
        self.fleet.merge(object, &annotation).await?;
        self.wait_for_status(object, value, |status| status["lastHandledScanNow"] == value).await
    }
}

impl World {
    /// The one that runs, or a new one.
    async fn running(cluster: &'static Cluster) -> Result<Arc<Self>> {
        let mut known = WORLD.lock().await;
        if let Some(running) = known.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start(cluster).await?);
        *known = Arc::downgrade(&started);
        Ok(started)
    }

    async fn start(cluster: &'static Cluster) -> Result<Self> {
        install(cluster).await?;
        let authority = Authority::new("registries")?;
        let certificates: PathBuf = cluster.directory().join("registries.crt");
        std::fs::write(&certificates, authority.certificate())?;
        let registries = servers().spawn(registries(authority)).await??;
        let traces = servers().spawn(Collector::start()).await??;
        // A log of its own: that of an earlier process has addresses at which nobody answers any more.
        let name = format!("registry-manager-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let mut manager = launch(cluster, &name)
            .await?
            .arg("--inventory-bind-address=127.0.0.1:0")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url())
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .arg(format!("--destination-allow={MIRROR},docker.io/tchoupinax,docker.io/destination"))
            .args(["--image-builder", "--build-credentials-allow=docker.io/destination"])
            .env("FEATURE_COPY_ON_THE_FLY", "true")
            .env("HTTPS_PROXY", registries.proxy.url())
            .env("CREDS_DESTINATION_USERNAME", WRITER[0])
            .env("CREDS_DESTINATION_PASSWORD", WRITER[1])
            .env("SKOPEO_IMAGE", "quay.io/containers/skopeo")
            .env("SSL_CERT_FILE", certificates)
            .spawn()?;
        let metrics = manager.wait_for_log_field("metrics server listening", "address", SOON).await?;
        let health = manager.wait_for_log_field("health server listening", "address", SOON).await?;
        let inventories = manager.wait_for_log_field("inventory server listening", "address", SOON).await?;
        manager.wait_until_ready(&format!("http://{health}/readyz"), SOON).await?;
        let metrics = format!("http://{metrics}/metrics");
        Ok(Self { manager, metrics, inventories, traces, registries })
    }
}

/// Installs the kinds, the namespace and what the shipped ServiceAccount may do.
pub async fn install(cluster: &Cluster) -> Result<()> {
    let client = cluster.admin_client().await?;
    let fleet = Fleet { client: client.clone() };
    let root = binaries::repository_root();
    Crds::of_the_fleet()?.install(&client).await?;
    Crds::read(&[root.join("manifests/crd/management.yaml")])?.install(&client).await?;
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})).await?;
    for file in ["rbac.yaml", "secrets.yaml"] {
        fleet.apply_file(&root.join("manifests/components/registry-manager").join(file)).await?;
    }
    fleet.apply_file(&root.join("manifests/components/image-builder/rbac.yaml")).await?;
    fleet.apply_file(&root.join("manifests/overlays/import/rbac.yaml")).await?;
    Ok(())
}

/// A registry-manager with the shipped ServiceAccount, for registries on this machine.
pub async fn launch(cluster: &Cluster, name: &str) -> Result<Launch> {
    let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    let launch = Launch::operator(name, cluster.directory())?
        .arg("registry-manager")
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .args(["--registry-networks=loopback", "--min-scan-interval=10ms"])
        .arg(format!("--namespace={SYSTEM}"));
    Ok(launch.env("KUBECONFIG", kubeconfig))
}

async fn registries(authority: Authority) -> Result<Registries> {
    let hub = MockRegistry::builder().tls(&authority).name(HUB).start().await?;
    let user = User::new("myuser", "mypass");
    let private = MockRegistry::builder().tls(&authority).name(PRIVATE).basic([user]).start().await?;
    for tag in ["latest", "1.25.3"] {
        add_image(&hub, "library/nginx", tag, tag);
    }
    add_image(&private, "company/app", "v1", "app");
    let quay = MockRegistry::builder().tls(&authority).name(QUAY).start().await?;
    let users = [WRITER, ROBOT].map(|[name, password]| User::new(name, password));
    let mirror = MockRegistry::builder().tls(&authority).name(MIRROR).basic(users).start().await?;
    let proxy = Proxy::start().await?;
    for (name, registry) in [(HUB, &hub), (PRIVATE, &private), (QUAY, &quay), (MIRROR, &mirror)] {
        proxy.route(&format!("{name}:443"), registry.host().parse()?);
    }
    Ok(Registries { hub, quay, mirror, _private: private, proxy })
}

/// A Registry.
pub fn registry(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "registry.kubecontroller.io/v1alpha1", "kind": "Registry",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// A Secret with this data as text.
pub fn secret(namespace: &str, name: &str, kind: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {"name": name, "namespace": namespace}, "stringData": data,
    })
}

/// The tags of a status, in order.
pub fn tags(status: &Value) -> Vec<&str> {
    status["images"].as_array().into_iter().flatten().filter_map(|image| image["tag"].as_str()).collect()
}

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?, found["reason"].as_str()?))
}

/// A while in which nothing is to happen.
pub const QUIET: Duration = Duration::from_millis(700);
