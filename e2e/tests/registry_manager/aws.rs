//! The registry-manager's AWS identity, for builds and imports: moto answers as AWS does, and the registry of ECR is a mock that
//! wants the password of its token.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypermirror_e2e::aws::{Aws, PASSWORD};
use hypermirror_e2e::content::Content;
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::mock::User;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::Proxy;
use hypermirror_e2e::pusher::Pusher;
use hypermirror_e2e::{Cluster, MockRegistry, Process, Testbed, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::builders::{End, allow, end, jobs, objects};
use super::images::digest;
use super::imports::{failing_pods, rule};
use super::stage::{add_image, condition, install, launch};

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const NAMESPACE: &str = "aws";

struct World {
    fleet: Fleet,
    aws: Aws,
    registry: Arc<MockRegistry>,
    authority: Authority,
    manager: Process,
    _proxy: Proxy,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(cluster: &Cluster) -> Result<Self> {
        install(cluster).await?;
        let fleet = Fleet { client: cluster.admin_client().await? };
        fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await?;
        allow(&fleet, NAMESPACE).await?;
        let authority = Authority::new("ecr")?;
        let user = User::new("AWS", PASSWORD);
        let registry = Arc::new(MockRegistry::builder().tls(&authority).name(HOST).basic([user]).start().await?);
        registry.behave(|behavior| behavior.needs_repository = true);
        let directory = tempfile::tempdir()?;
        let created = registry.clone();
        let aws = Aws::start(directory.path(), move |name| _ = created.store().repository(name)).await?;
        let (token, certificates) = (directory.path().join("token"), directory.path().join("ca.crt"));
        std::fs::write(&token, "jwt")?;
        std::fs::write(&certificates, authority.certificate())?;
        let proxy = Proxy::start().await?;
        proxy.route(&format!("{HOST}:443"), registry.host().parse()?);
        let mut manager = launch(cluster, "aws")
            .await?
            .args(["--image-builder", "--inventory-bind-address=127.0.0.1:0"])
            .arg(format!("--destination-allow={HOST}"))
            .arg(format!("--build-credentials-allow={HOST}/team"))
            .env("FEATURE_COPY_ON_THE_FLY", "true")
            .env("DESTINATION_DEFAULT_AWS_IRSA_USAGE", "true")
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mirror")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
            .env("AWS_ENDPOINT_URL", aws.url())
            .env("HTTPS_PROXY", proxy.url())
            .env("SSL_CERT_FILE", certificates)
            .spawn()?;
        let health = manager.wait_for_log_field("health server listening", "address", SOON).await?;
        manager.wait_until_ready(&format!("http://{health}/readyz"), SOON).await?;
        Ok(Self { fleet, aws, registry, authority, manager, _proxy: proxy, _directory: directory })
    }

    async fn status(&self, object: &Value, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let name = object["metadata"]["name"].as_str().context("no name")?;
        eventually(SOON, what, async || {
            let found = self.fleet.api_of(object)?.get(name).await?;
            ensure!(wanted(&found.data["status"]), "{:#}", found.data["status"]);
            Ok(Some(found.data["status"].clone()))
        })
        .await
    }

    /// Where a password could be read besides the Secret of a Job.
    async fn told(&self, object: &Value) -> Result<Vec<(&'static str, String)>> {
        let text = |objects: Vec<Value>| serde_json::to_string(&objects);
        let events: Api<Event> = Api::namespaced(self.fleet.client.clone(), NAMESPACE);
        let mut told = vec![
            ("Jobs", text(objects(&self.fleet, "batch/v1", "Job", NAMESPACE).await?)?),
            ("ConfigMaps", text(objects(&self.fleet, "v1", "ConfigMap", NAMESPACE).await?)?),
            ("events", serde_json::to_string(&events.list(&ListParams::default()).await?)?),
            ("status", self.status(object, "a status", |status| !status.is_null()).await?.to_string()),
            ("log", self.manager.log()?),
        ];
        for name in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{}/{name}", self.manager.handle().id()))?;
            told.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(told)
    }
}

/// The one Secret of builds, the user and the password in it.
async fn credentials(world: &World, job: &Value) -> Result<(String, String)> {
    let secret = eventually(SOON, "the Secret of the Job", async || {
        Ok(objects(&world.fleet, "v1", "Secret", NAMESPACE).await?.pop())
    })
    .await?;
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"], "it goes with its Job");
    let file = BASE64_STANDARD.decode(secret["data"]["auth.json"].as_str().context("no file")?)?;
    let file: Value = serde_json::from_slice(&file)?;
    let entries = file["auths"].as_object().context("no entries")?;
    ensure!(
        entries.keys().eq([&format!("{HOST}/team/app")]),
        "it opens the repository of the image alone: {entries:?}"
    );
    let pair =
        BASE64_STANDARD.decode(file["auths"][format!("{HOST}/team/app")]["auth"].as_str().context("no auth")?)?;
    let pair = String::from_utf8(pair)?;
    let (user, password) = pair.split_once(':').context("no pair")?;
    Ok((user.to_owned(), password.to_owned()))
}

#[tokio::test]
async fn a_build_for_ecr_pushes_with_a_password_that_is_only_in_the_secret_of_its_job() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let world = World::start(bed.management()).await?;
    let object = |name: &str, repository: &str| {
        json!({
            "apiVersion": "buildah.io/v1alpha1", "kind": "ImageBuilder",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "architecture": "amd64", "source": "FROM scratch\n",
                "image": {"name": format!("{HOST}/{repository}"), "version": "v1", "useAwsIRSA": true},
            },
        })
    };
    // A Dockerfile can read its credential: only where the administrator allows it.
    let refused = object("refused", "other/app");
    world.fleet.apply(&refused).await?;
    let is_refused = |status: &Value| condition(status, "Stalled") == Some(("True", "CredentialsNotAllowed"));
    world.status(&refused, "a refusal", is_refused).await?;
    assert_eq!(world.aws.calls("GetAuthorizationToken"), 0);

    // The repository must exist.
    world.registry.store().repository("team/app");
    let app = object("app", "team/app");
    world.fleet.apply(&app).await?;
    let job = jobs(&world.fleet, NAMESPACE, 1).await?.remove(0);
    let (user, password) = credentials(&world, &job).await?;
    assert_eq!((&*user, &*password), ("AWS", PASSWORD));
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    for (place, text) in world.told(&app).await? {
        ensure!(!text.is_empty() && !text.contains(PASSWORD) && !text.contains(&encoded), "{place} has the password");
    }

    // What Buildah does with it.
    let pusher = Pusher::new(&world.registry.url(), Some(&world.authority), Some((user.as_str(), password.as_str())))?;
    let content = Content::of_program("bin/app", b"app");
    pusher.push("team/app", &content, |_| true).await?;
    let pushed = content.manifests[0].digest.to_string();
    end(&world.fleet, &job, &End::Pushed(&pushed)).await?;
    let done = world.status(&app, "the end", |status| status["phase"] == "COMPLETED").await?;
    assert_eq!((&done["digest"], digest(&world.registry, "team/app", "v1")), (&json!(pushed), Some(pushed.clone())));
    // One token for the builds of a region; the role is assumed for it.
    assert_eq!((world.aws.calls("AssumeRoleWithWebIdentity"), world.aws.calls("GetAuthorizationToken")), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_import_to_ecr_creates_its_repository() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let world = World::start(bed.management()).await?;
    let source = MockRegistry::start().await?;
    let wanted = add_image(&source, "team/app", "1.0", "app").to_string();
    let from = json!({"source": {"prefix": format!("{}/team", source.host()), "plainHttp": true}});
    let object = rule(NAMESPACE, "ecr", "quay.io/x", &format!("{HOST}/imported"), &from);
    world.fleet.apply(&object).await?;
    let image = format!("{HOST}/imported/app:1.0");
    failing_pods(&world.fleet, NAMESPACE, ["web".to_owned()], &image).await?;
    let status = world.status(&object, "an import", |status| status["imported"] == 1).await?;
    assert_eq!(status["imports"][0]["result"], "Imported");
    assert_eq!(digest(&world.registry, "imported/app", "1.0"), Some(wanted));
    ensure!(world.aws.calls("CreateRepository") >= 1);
    for (place, text) in world.told(&object).await? {
        ensure!(!text.contains(PASSWORD), "{place} has the password");
    }
    Ok(())
}
