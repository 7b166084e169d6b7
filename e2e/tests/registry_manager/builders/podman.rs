//! The pod of a Job really builds: podman runs it as its spec says, on a registry that wants a password and has a certificate of its
//! own authority.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::fleet::{Fleet, SOON, SYSTEM};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::podman_pod::{PodEnd, PodmanNode};
use hypermirror_e2e::pusher::Pusher;
use hypermirror_e2e::registry::{Access, PASSWORD, Program, Registry, Settings, USER};
use hypermirror_e2e::{Cluster, Process, Testbed, eventually};
use serde_json::{Value, json};

use super::super::stage::{condition, install, launch, secret};
use super::{End, allow, end, jobs, objects};

const NAMESPACE: &str = "builders-podman";
/// Each stage has an image that is nowhere but in a mirror. The files get another owner than root, so that one ID is not enough.
const SOURCE: &str = "FROM base.example/app:program AS first\nRUN [\"/bin/crane\", \"version\"]\n\
    FROM base.example/app:program\nCOPY --from=first --chown=1234:1234 /bin/crane /bin/other\nRUN [\"/bin/other\", \"version\"]\n";

struct World {
    fleet: Fleet,
    registry: Registry,
    pusher: Pusher,
    node: PodmanNode,
    _manager: Process,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(cluster: &Cluster, more: &[(&str, &str)]) -> Result<Self> {
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
        let node = PodmanNode::new().await?;
        Ok(Self { fleet, registry, pusher, node, _manager: manager, _directory: directory })
    }

    fn builder(&self, architecture: &str, version: &str, source: &str) -> Value {
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

    async fn phase(&self, phase: &str, version: &str) -> Result<Value> {
        let any = self.builder("both", version, "FROM scratch");
        eventually(SOON, &format!("{version} is {phase}"), async || {
            let found = self.fleet.api_of(&any)?.get("app").await?;
            let status = &found.data["status"];
            let is_of_version = status["image"].as_str().is_some_and(|image| image.ends_with(&format!(":{version}")));
            ensure!(status["phase"] == phase && is_of_version, "{status}");
            Ok(Some(status.clone()))
        })
        .await
    }

    /// Runs the pod of a Job, and ends the Job as its pod did.
    async fn play(&self, job: &Value) -> Result<PodEnd> {
        // They follow their Job.
        eventually(SOON, "what the pod mounts", async || {
            let name = &job["metadata"]["name"];
            let maps = objects(&self.fleet, "v1", "ConfigMap", NAMESPACE).await?;
            Ok(maps.iter().any(|map| map["metadata"]["name"] == *name).then_some(()))
        })
        .await?;
        let ended = self.node.run(&self.fleet, job).await?;
        let how = if ended.code == 0 { End::Pushed(&ended.message) } else { End::Failed(&ended.container) };
        end(&self.fleet, job, &how).await?;
        Ok(ended)
    }

    async fn manifest(&self, reference: &str) -> Result<Value> {
        let answer = self.pusher.get("team/app", &format!("manifests/{reference}")).await?;
        ensure!(answer.status.is_success(), "{reference}: {answer:?}");
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

#[tokio::test]
async fn the_pod_builds_from_a_mirror_in_a_user_namespace_and_both_architectures_become_an_index() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let world = World::start(bed.management(), &[]).await?;
    world.fleet.apply(&world.builder("both", "v1", SOURCE)).await?;
    for job in jobs(&world.fleet, NAMESPACE, 2).await? {
        let capabilities = &job["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"];
        assert_eq!(*capabilities, json!({"drop": ["ALL"], "add": ["SETUID", "SETGID", "SYS_CHROOT"]}));
        let ended = world.play(&job).await?;
        ensure!(ended.code == 0, "{}: {}", ended.container, ended.log);
    }
    let done = world.phase("COMPLETED", "v1").await?;
    assert_eq!(condition(&done, "Ready"), Some(("True", "Built")));
    let index = world.manifest("v1").await?;
    let children = index["manifests"].as_array().context("no index")?;
    assert_eq!(children.len(), 2);
    for (child, architecture) in children.iter().zip(["amd64", "arm64"]) {
        assert_eq!(child["platform"], json!({"architecture": architecture, "os": "linux"}));
        let digest = child["digest"].as_str().context("no digest")?;
        let image = world.manifest(digest).await?;
        ensure!(image["layers"].as_array().is_some_and(|layers| layers.len() >= 2), "{image}");
    }
    let base = Content::of_program("bin/crane", &std::fs::read(Servers::from_env().find_registry("crane")?)?);
    for (own, architecture) in done["architectures"].as_array().context("none")?.iter().zip(["amd64", "arm64"]) {
        assert_eq!(own["architecture"], architecture);
        ensure!(own["baseImage"].as_str().is_some_and(|name| name.starts_with("base.example/app")), "{own}");
        let digest = own["baseDigest"].as_str().context("no digest of the base image")?;
        ensure!(base.manifests.iter().any(|manifest| *manifest.digest == *digest), "{own}");
    }
    let asked = world.registry.requests("/v2/mirror/app/manifests/")?;
    ensure!(!asked.is_empty(), "base images come from the mirror");

    let failing = "FROM base.example/app:program\nRUN [\"/bin/crane\", \"no-such-command\"]\n";
    world.fleet.apply(&world.builder("amd64", "v2", failing)).await?;
    let found = eventually(SOON, "the Job of the edit", async || {
        let found = objects(&world.fleet, "batch/v1", "Job", NAMESPACE).await?;
        Ok((found.len() == 1).then_some(found))
    })
    .await?;
    let ended = world.play(&found[0]).await?;
    ensure!(ended.code != 0 && ended.container == "build" && ended.log.contains("no-such-command"), "{}", ended.log);
    let failed = world.phase("FAILED", "v2").await?;
    assert_eq!(condition(&failed, "Stalled"), Some(("True", "BuildFailed")));
    let answer = world.pusher.get("team/app", "manifests/v2").await?;
    assert_eq!(answer.status.as_u16(), 404, "nothing is tagged");
    Ok(())
}

#[tokio::test]
async fn with_a_seccomp_profile_of_its_own_the_pod_needs_only_setuid_and_setgid() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let world = World::start(
        bed.management(),
        &[("BUILDAH_SECCOMP_PROFILE", "Localhost/buildah.json"), ("BUILDAH_STORAGE_DRIVER", "vfs")],
    )
    .await?;
    world.fleet.apply(&world.builder("amd64", "v1", SOURCE)).await?;
    let found = jobs(&world.fleet, NAMESPACE, 1).await?;
    let capabilities = &found[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"];
    assert_eq!(*capabilities, json!({"drop": ["ALL"], "add": ["SETUID", "SETGID"]}));
    let ended = world.play(&found[0]).await?;
    ensure!(ended.code == 0, "{}: {}", ended.container, ended.log);
    let done = world.phase("COMPLETED", "v1").await?;
    assert_eq!(done["digest"].as_str(), Some(ended.message.trim()), "one architecture: no index");
    let namespaces = objects(&world.fleet, "batch/v1", "Job", SYSTEM).await?;
    ensure!(namespaces.is_empty());
    Ok(())
}
