//! Nothing is played: the controller manager makes the pods of Jobs, a kubelet and CRI-O run them in user namespaces, and what
//! Buildah prints is read through the kubelet.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::registry::{PASSWORD, Registry, USER};
use hypermirror_e2e::{RealNode, Testbed, buildah, eventually, needs_node};
use serde_json::{Value, json};

use super::super::stage::condition;
use super::world::{NAMESPACE, SOURCE, World};
use super::{jobs, names, objects};

/// Time limit of a build: its pods start one after another, and one that fails is replaced after 10 s.
const BUILT: Duration = Duration::from_mins(3);
/// The label that decides where the Job of an architecture runs.
const ARCHITECTURE: &str = "kubernetes.io/arch";

/// Waits until the pod of a Job is in this phase.
async fn pod_phase(world: &World, job: &Value, phase: &str) -> Result<()> {
    let name = &job["metadata"]["name"];
    eventually(BUILT, &format!("the pod of {name} is {phase}"), async || {
        let pods = objects(&world.fleet, "v1", "Pod", NAMESPACE).await?;
        let own = |pod: &&Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == *name;
        let pod = pods.iter().find(own).context("no pod")?;
        ensure!(pod["status"]["phase"] == phase, "{:#}", pod["status"]);
        Ok(Some(()))
    })
    .await
}

/// What the container runtime was told to run for the container that builds.
async fn specification(node: &RealNode) -> Result<Value> {
    let found = node.crictl().run(&["ps", "--all", "--quiet", "--name", "build"]).await?;
    let id = found.split_whitespace().next().context("no container")?;
    let inspected: Value = serde_json::from_str(&node.crictl().run(&["inspect", id]).await?)?;
    Ok(inspected["info"]["runtimeSpec"].clone())
}

/// What a pod is allowed, as the runtime got it. CRI-O of the bed has no limits of memory: it runs without `CAP_SYS_RESOURCE`.
fn is_confined(spec: &Value) {
    let map = &spec["linux"]["uidMappings"];
    assert_eq!((&map[0]["containerID"], &map[0]["size"], &map[1]), (&json!(0), &json!(65_536), &Value::Null));
    assert!(map[0]["hostID"].as_u64().is_some_and(|id| id >= 65_536), "{map}");
    let capabilities = &spec["process"]["capabilities"]["bounding"];
    let mut capabilities: Vec<&str> = capabilities.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    capabilities.sort_unstable();
    assert_eq!(capabilities, ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]);
    // They are what programs may get from files. The processes of the user have none.
    assert_eq!(spec["process"]["capabilities"].get("ambient"), None);
    assert_eq!(spec["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!((&spec["process"]["user"]["uid"], &spec["root"]["readonly"]), (&json!(1_000), &json!(true)));
}

/// The Jobs are removed, and the garbage collector takes what they own.
async fn nothing_is_left(world: &World) -> Result<()> {
    jobs(&world.fleet, NAMESPACE, 0).await?;
    eventually(SOON, "what Jobs own is removed", async || {
        for (kind, count) in [("Pod", 0), ("ConfigMap", 1), ("Secret", 3)] {
            let found = objects(&world.fleet, "v1", kind, NAMESPACE).await?;
            ensure!(found.len() == count, "{kind}: {:?}", names(&found));
        }
        Ok(Some(()))
    })
    .await
}

async fn is_an_index_of_both(world: &World) -> Result<()> {
    let index = world.manifest("v1").await?;
    let children = index["manifests"].as_array().context("no index")?;
    let platforms: Vec<_> = children.iter().map(|child| child["platform"].clone()).collect();
    assert_eq!(platforms, ["amd64", "arm64"].map(|name| json!({"architecture": name, "os": "linux"})));
    for child in children {
        let image = world.manifest(child["digest"].as_str().context("no digest")?).await?;
        ensure!(image["layers"].as_array().is_some_and(|layers| layers.len() >= 2), "{image}");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_builds_both_architectures_in_user_namespaces_and_a_failed_build_shows_its_log_without_passwords()
-> Result<()> {
    needs_node!();
    let bed = Testbed::builder().controller_manager(true).start().await?;
    let (cluster, directory) = (bed.management(), tempfile::tempdir()?);
    let images = Registry::start(&directory.path().join("registry")).await?;
    buildah::image(&directory.path().join("buildah")).await?.push(images.host(), "buildah:1").await?;
    let image = format!("{}/buildah:1", images.host());
    let variables = [("BUILDAH_IMAGE", &*image)];
    let (node, world) = tokio::try_join!(RealNode::start(cluster, "builds"), World::start(cluster, &variables))?;
    node.relay(&[world.registry.port()?])?;
    let limited = |version: &str, architecture: &str, source: &str| {
        let mut builder = world.builder(architecture, version, source);
        builder["spec"]["resources"] = json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}});
        builder
    };

    world.fleet.apply(&limited("v1", "both", SOURCE)).await?;
    let found = jobs(&world.fleet, NAMESPACE, 2).await?;
    let (amd64, arm64) = (&found[0], &found[1]);
    pod_phase(&world, amd64, "Succeeded").await?;
    pod_phase(&world, arm64, "Pending").await?;
    // The bed has one node. The image of the other architecture has the same program, so it can stand for that node.
    node.label(&[(ARCHITECTURE, "arm64")]).await?;
    let done = world.phase(BUILT, "COMPLETED", "v1").await?;
    assert_eq!(condition(&done, "Ready"), Some(("True", "Built")));
    is_an_index_of_both(&world).await?;
    ensure!(!world.registry.requests("/v2/mirror/app/manifests/")?.is_empty(), "base images come from the mirror");
    nothing_is_left(&world).await?;

    node.label(&[(ARCHITECTURE, "amd64")]).await?;
    let address = format!("https://{USER}:{PASSWORD}@registry.example/app");
    let failing = format!("FROM base.example/app:program\nRUN [\"/bin/crane\", \"digest\", \"{address}\"]\n");
    world.fleet.apply(&limited("v2", "amd64", &failing)).await?;
    let failed = world.phase(BUILT, "FAILED", "v2").await?;
    assert_eq!(condition(&failed, "Stalled"), Some(("True", "BuildFailed")));
    assert_eq!((&failed["log"]["architecture"], &failed["log"]["container"]), (&json!("amd64"), &json!("build")));
    let log = failed["log"]["text"].as_str().context("no log")?;
    ensure!(log.contains("STEP 2/2") && log.contains("[redacted]registry.example/app"), "{log}");
    ensure!(!failed.to_string().contains(PASSWORD) && !world.manager.log()?.contains(PASSWORD), "{failed}");
    is_confined(&specification(&node).await?);
    let answer = world.pusher.get("team/app", "manifests/v2").await?;
    assert_eq!(answer.status.as_u16(), 404, "nothing is tagged");
    drop(node);
    Ok(())
}
