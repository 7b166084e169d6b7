//! The pod of a Job really builds: podman runs it as its spec says, on a registry that wants a password and has a certificate of its
//! own authority.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::fleet::{SOON, SYSTEM};
use hypermirror_e2e::podman_pod::{PodEnd, PodmanNode};
use hypermirror_e2e::{Cluster, Testbed, eventually};
use serde_json::{Value, json};

use super::super::stage::condition;
use super::world::{NAMESPACE, SOURCE, World};
use super::{End, end, jobs, objects};

/// A world whose Jobs podman runs.
struct Podman {
    world: World,
    node: PodmanNode,
}

impl Podman {
    async fn start(cluster: &Cluster, more: &[(&str, &str)]) -> Result<Self> {
        Ok(Self { world: World::start(cluster, more).await?, node: PodmanNode::new().await? })
    }

    /// Runs the pod of a Job, and ends the Job as its pod did.
    async fn play(&self, job: &Value) -> Result<PodEnd> {
        // They follow their Job.
        eventually(SOON, "what the pod mounts", async || {
            let name = &job["metadata"]["name"];
            let maps = objects(&self.world.fleet, "v1", "ConfigMap", NAMESPACE).await?;
            Ok(maps.iter().any(|map| map["metadata"]["name"] == *name).then_some(()))
        })
        .await?;
        let ended = self.node.run(&self.world.fleet, job).await?;
        let how = if ended.code == 0 { End::Pushed(&ended.message) } else { End::Failed(&ended.container) };
        end(&self.world.fleet, job, &how).await?;
        Ok(ended)
    }
}

#[tokio::test]
async fn the_pod_builds_from_a_mirror_in_a_user_namespace_and_both_architectures_become_an_index() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let stage = Podman::start(bed.management(), &[]).await?;
    let world = &stage.world;
    world.fleet.apply(&world.builder("both", "v1", SOURCE)).await?;
    for job in jobs(&world.fleet, NAMESPACE, 2).await? {
        let capabilities = &job["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"];
        assert_eq!(*capabilities, json!({"drop": ["ALL"], "add": ["SETUID", "SETGID", "SYS_CHROOT", "SYS_ADMIN"]}));
        let ended = stage.play(&job).await?;
        ensure!(ended.code == 0, "{}: {}", ended.container, ended.log);
    }
    let done = world.phase(SOON, "COMPLETED", "v1").await?;
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
    let ended = stage.play(&found[0]).await?;
    ensure!(ended.code != 0 && ended.container == "build" && ended.log.contains("no-such-command"), "{}", ended.log);
    let failed = world.phase(SOON, "FAILED", "v2").await?;
    assert_eq!(condition(&failed, "Stalled"), Some(("True", "BuildFailed")));
    let answer = world.pusher.get("team/app", "manifests/v2").await?;
    assert_eq!(answer.status.as_u16(), 404, "nothing is tagged");
    Ok(())
}

#[tokio::test]
async fn with_a_seccomp_profile_of_its_own_the_pod_needs_only_setuid_and_setgid() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let stage = Podman::start(
        bed.management(),
        &[("BUILDAH_SECCOMP_PROFILE", "Localhost/buildah.json"), ("BUILDAH_STORAGE_DRIVER", "vfs")],
    )
    .await?;
    let world = &stage.world;
    world.fleet.apply(&world.builder("amd64", "v1", SOURCE)).await?;
    let found = jobs(&world.fleet, NAMESPACE, 1).await?;
    let capabilities = &found[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"];
    assert_eq!(*capabilities, json!({"drop": ["ALL"], "add": ["SETUID", "SETGID"]}));
    let ended = stage.play(&found[0]).await?;
    ensure!(ended.code == 0, "{}: {}", ended.container, ended.log);
    let done = world.phase(SOON, "COMPLETED", "v1").await?;
    assert_eq!(done["digest"].as_str(), Some(ended.message.trim()), "one architecture: no index");
    let namespaces = objects(&world.fleet, "batch/v1", "Job", SYSTEM).await?;
    ensure!(namespaces.is_empty());
    Ok(())
}
