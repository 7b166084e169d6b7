//! An edit decides from where the kubelet's next pull takes an image, and nothing on the node restarts for it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::image::{Image, ImageSource};
use hypermirror_e2e::{Served, needs_node, port};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::pods;
use super::stage::Stage;

/// Long for a loaded machine; the figure that counts is printed.
const LOADED: Duration = Duration::from_secs(15);

/// What an edit must not touch.
#[derive(Debug, PartialEq, Eq)]
struct Untouched {
    kubelet: u32,
    crio: u32,
    node: Option<String>,
    cordoned: bool,
    agent: Option<String>,
    restarts: i32,
}

impl Untouched {
    async fn observe(stage: &Stage) -> Result<Self> {
        let nodes: Api<Node> = Api::all(stage.guest.client.clone());
        let node = nodes.get(stage.node().name()).await?;
        let agent = stage.agent().await?;
        Ok(Self {
            kubelet: stage.node().kubelet_id(),
            crio: stage.node().crio_id().await?,
            node: node.uid(),
            cordoned: node.spec.and_then(|spec| spec.unschedulable) == Some(true),
            restarts: restarts(&agent),
            agent: agent.uid(),
        })
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).sum()
}

/// Serves the same new image at two registries; answers its digest.
async fn everywhere(registries: [&Served; 2], name: &str) -> Result<String> {
    let source = ImageSource::new("/app", Servers::from_env().find("pause")?).marker(name);
    let image = Image::build(&registries[0].directory().join(name), &source)?;
    for served in registries {
        image.push(served.registry.host(), &format!("copy/{name}")).await?;
    }
    Ok(image.digest().to_owned())
}

#[tokio::test]
async fn an_edit_decides_where_the_next_pod_pulls_by_digest_and_nothing_restarts() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let (one, two) = (Served::start("copy/any").await?, Served::start("copy/any").await?);
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let before = Untouched::observe(&stage).await?;
    let mut names = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 0..4 {
        let served = [&one, &two][round % 2];
        let name = format!("digest-{round}");
        let digest = everywhere([&one, &two], &name).await?;
        let mirror = format!("{}/copy", served.registry.host());
        let start = Instant::now();
        let confirmed = stage.declare(&[(&source, &[&mirror], None)]).await?;
        let mark = stage.node().mark()?;
        pods::create(&stage.guest, &name, &format!("{source}/{name}@{digest}")).await?;
        pods::runs(&stage.guest, &name).await?;
        println!("edit {round}: confirmed after {confirmed:?}, a pod of it runs after {:?}", start.elapsed());
        let tried = stage.node().tried_since(mark)?;
        ensure!(tried == [format!("{mirror}/{name}@{digest}")], "{tried:?}");
        slowest = slowest.max(confirmed);
        names.push(name);
    }
    println!("slowest edit until the report confirms it: {slowest:?}");
    ensure!(slowest < LOADED, "{slowest:?}");
    ensure!(Untouched::observe(&stage).await? == before, "{before:?}");
    for name in &names {
        let pod = pods::get(&stage.guest, name).await?;
        ensure!(restarts(&pod) == 0, "{name} was restarted");
    }
    pods::delete(&stage.guest, &names).await
}

#[tokio::test]
async fn a_set_that_an_administrator_creates_in_the_guest_applies_to_pulls_by_tag_and_is_not_changed() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    // The same tag, and another image at each.
    let (one, two) = (Served::start("copy/app:v1").await?, Served::start("copy/app:v1").await?);
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let before = Untouched::observe(&stage).await?;
    let mut names = Vec::new();
    for round in 0..4 {
        let served = [&one, &two][round % 2];
        let mirror = format!("{}/copy", served.registry.host());
        let by_hand = stage.put("by-hand", &[], &[(&source, &[&mirror], None)]).await?;
        let name = format!("tag-{round}");
        pods::create(&stage.guest, &name, &format!("{source}/app:v1")).await?;
        let status = pods::runs(&stage.guest, &name).await?;
        ensure!(status.image_id.ends_with(&served.digest), "{} is not {}", status.image_id, served.digest);
        names.push(name);
        if round == 3 {
            // The manager looks at everything again: the set is neither pruned nor in the way of a good report.
            stage.declare(&[("registry.example/a", &["mirror.example/a"], None)]).await?;
            let live =
                stage.guest.api_of(&json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet"}))?;
            live.get("by-hand").await.context("the manager has taken the set")?;
            stage.remove(by_hand).await?;
        }
    }
    ensure!(Untouched::observe(&stage).await? == before, "{before:?}");
    pods::delete(&stage.guest, &names).await
}

#[tokio::test]
async fn a_pod_that_waits_for_an_image_that_only_a_mirror_has_runs_after_the_edit() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let served = Served::start("copy/app").await?;
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let image = format!("{source}/app@{}", served.digest);
    pods::create(&stage.guest, "waits", &image).await?;
    let words = pods::waits_for_image(&stage.guest, "waits").await?;
    ensure!(words.contains("connection refused") || words.contains("Back-off"), "{words}");
    let mirror = format!("{}/copy", served.registry.host());
    stage.declare(&[(&source, &[&mirror], None)]).await?;
    let status = pods::runs(&stage.guest, "waits").await?;
    ensure!(status.restart_count == 0 && status.image_id.ends_with(&served.digest), "{status:?}");
    pods::delete(&stage.guest, &["waits".to_owned()]).await
}
