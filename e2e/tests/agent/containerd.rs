//! A real containerd pulls as the agent's files say, with real registries.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::node::skip;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::{Containerd, Served, eventually, port};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::stage::{Agent, Stage, condition};

/// A node with containerd, its agent, and registries: the source over HTTP, mirrors over TLS with one authority.
struct Scene {
    stage: Stage,
    containerd: Containerd,
    source: Served,
    one: Served,
    two: Served,
    authority: Authority,
    _agent: Agent,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Result<Self> {
        let stage = Stage::start().await?;
        let directory = tempfile::tempdir()?;
        let containerd = Containerd::start(&directory.path().join("containerd")).await?;
        let node = stage.node("a", &json!({})).await?;
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
        let reported = json!({"status": {"nodeInfo": {"containerRuntimeVersion": "containerd://1.6.20"}}});
        stage.guest.api_of(&object)?.patch_status("a", &PatchParams::default(), &Patch::Merge(&reported)).await?;
        let authority = Authority::new("mirrors")?;
        let (source, one) = (Served::start("app:v1").await?, Served::start_tls("copy/app:v1", &authority).await?);
        let two = Served::start_tls("copy/app:v1", &authority).await?;
        let config = format!("--containerd-config={}", containerd.config().display());
        let agent = node.agent(&["--source=cluster", "--root=/", &config]).await?;
        Ok(Self { stage, containerd, source, one, two, authority, _agent: agent, _directory: directory })
    }

    fn source(&self) -> &str {
        self.source.registry.host()
    }

    /// A mirror that has the image of the source's repository `app`.
    fn mirror(served: &Served) -> String {
        format!("{}/copy", served.registry.host())
    }

    fn tag(&self) -> String {
        format!("{}/app:v1", self.source())
    }

    /// The image of a mirror, which the source does not have.
    fn digest_of(&self, served: &Served) -> String {
        format!("{}/app@{}", self.source(), served.digest)
    }

    /// Makes the authority known, in the directory where containerd's documentation has it.
    fn trust(&self, served: &Served) -> Result<()> {
        let directory = self.containerd.hosts().join(served.registry.host());
        fs::create_dir_all(&directory)?;
        Ok(fs::write(directory.join("ca.crt"), self.authority.certificate())?)
    }

    /// Declares mirrors for pulls by digest and by tag, and waits until the node reports exactly these objects.
    async fn declare(&self, digest: &[&str], tag: &[&str], policy: &str) -> Result<Value> {
        let entry = |mirrors: &[&str]| {
            let policy = if policy.is_empty() { "AllowContactingSource" } else { policy };
            json!([{"source": self.source(), "mirrors": mirrors, "mirrorSourcePolicy": policy}])
        };
        let mut generations = Vec::new();
        for (kind, list, mirrors) in
            [("ImageDigestMirrorSet", "imageDigestMirrors", digest), ("ImageTagMirrorSet", "imageTagMirrors", tag)]
        {
            let object = json!({"apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": "mirrors"}});
            if mirrors.is_empty() {
                if self.stage.guest.api_of(&object)?.get_opt("mirrors").await?.is_some() {
                    self.stage.guest.delete(&object).await?;
                }
                continue;
            }
            let mut wanted = object;
            wanted["spec"] = json!({list: entry(mirrors)});
            let live = self.stage.guest.apply(&wanted).await?;
            generations.push((kind, live.metadata.uid, live.metadata.generation));
        }
        let observed = |status: &Value| {
            let sets = status["observedSets"].as_array().cloned().unwrap_or_default();
            let has = |(kind, uid, generation): &(&str, Option<String>, Option<i64>)| {
                sets.iter().any(|set| {
                    set["kind"] == *kind && set["uid"] == json!(uid) && set["generation"] == json!(generation)
                })
            };
            sets.len() == generations.len() && generations.iter().all(has)
        };
        self.stage.wait_for_report("a", "these mirrors", observed).await
    }

    async fn pulls(&self, reference: &str, from: &Served) -> Result<()> {
        let pulled = self.containerd.pull(reference).await?;
        ensure!(pulled.as_ref().is_ok_and(|id| *id == from.id), "{reference}: {pulled:?}, expected {}", from.id);
        Ok(())
    }

    async fn fails(&self, reference: &str, text: &str) -> Result<()> {
        let pulled = self.containerd.pull(reference).await?;
        ensure!(pulled.as_ref().is_err_and(|error| error.contains(text)), "{reference}: {pulled:?}");
        Ok(())
    }

    /// How often the source was asked for anything.
    fn asked(&self) -> Result<usize> {
        Ok(self.source.registry.requests("/v2/app/")?.len())
    }
}

#[tokio::test]
async fn containerd_pulls_through_the_declared_mirrors_and_is_never_reloaded() -> Result<()> {
    if let Some(reason) = Containerd::unavailable() {
        skip(&reason);
        return Ok(());
    }
    let scene = Scene::start().await?;
    let (one, two) = (Scene::mirror(&scene.one), Scene::mirror(&scene.two));
    let dead = format!("127.0.0.1:{}/copy", port::free()?);
    let id = scene.containerd.id();
    scene.trust(&scene.one)?;

    // For digests only: the tag is that of the source.
    scene.declare(&[&one], &[], "").await?;
    scene.pulls(&scene.digest_of(&scene.one), &scene.one).await?;
    scene.pulls(&scene.tag(), &scene.source).await?;
    // The first mirror is down.
    scene.declare(&[&dead, &one], &[&dead, &one], "").await?;
    scene.pulls(&scene.digest_of(&scene.one), &scene.one).await?;
    scene.pulls(&scene.tag(), &scene.one).await?;
    scene.containerd.pull_with_ctr(&scene.digest_of(&scene.one)).await?;
    // All mirrors are down: the source.
    scene.declare(&[&dead], &[&dead], "").await?;
    scene.pulls(&scene.tag(), &scene.source).await?;

    // NeverContactSource: neither with a mirror that lacks the image nor with one that is down.
    let before = scene.asked()?;
    scene.declare(&[&dead, &one], &[&dead, &one], "NeverContactSource").await?;
    scene.pulls(&scene.tag(), &scene.one).await?;
    // The error is that of the first mirror that cannot be reached.
    scene.fails(&scene.digest_of(&scene.source), &dead.replace("/copy", "/v2/copy")).await?;
    scene.declare(&[&dead], &[], "NeverContactSource").await?;
    scene.fails(&scene.tag(), "NeverContactSource").await?;
    scene.fails(&scene.digest_of(&scene.source), &dead.replace("/copy", "/v2/copy")).await?;
    // For tags only, which containerd cannot do: the mirror is named, and the policy is in effect.
    let status = scene.declare(&[], &[&one], "NeverContactSource").await?;
    ensure!(status["rejected"][0]["reason"] == "NotExpressible", "{status}");
    ensure!(condition(&status, "Applied")["status"] == "True", "{status}");
    scene.fails(&scene.tag(), "NeverContactSource").await?;
    ensure!(scene.asked()? == before, "the source was asked");

    // Without its authority a mirror is not used.
    scene.declare(&[&two], &[], "").await?;
    ensure!(scene.containerd.pull(&scene.digest_of(&scene.two)).await?.is_err(), "a certificate that nobody signed");
    let text = fs::read_to_string(scene.containerd.hosts().join(scene.source()).join("hosts.toml"))?;
    ensure!(!text.contains("skip_verify"), "{text}");
    scene.declare(&[], &[], "").await?;
    let per_node = json!({
        "apiVersion": "config.openshift.io/v1alpha1", "kind": "ImageMirrorDigestSet", "metadata": {"name": "insecure"},
        "spec": {"mirrors": [{"source": scene.source(), "mirrors": [two], "insecureSkipTLSVerify": true}]}
    });
    scene.stage.guest.apply(&per_node).await?;
    scene.stage.wait_for_report("a", "one source", |status| status["sourceCount"] == 1).await?;
    scene.pulls(&scene.digest_of(&scene.two), &scene.two).await?;

    // Nothing remains, and containerd ran all the time.
    scene.stage.guest.delete(&per_node).await?;
    let ours = scene.containerd.hosts().join(scene.source());
    eventually(SOON, "the directory of the source is removed", async || Ok((!ours.exists()).then_some(()))).await?;
    scene.pulls(&scene.tag(), &scene.source).await?;
    ensure!(scene.containerd.hosts().join(scene.one.registry.host()).join("ca.crt").exists(), "the file of another");
    ensure!(scene.containerd.id() == id, "containerd was restarted");
    Ok(())
}

#[tokio::test]
async fn without_config_path_the_node_reports_what_to_set_and_nothing_is_written() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    node.write("etc/containerd/config.toml", "version = 2\n")?;
    let set = json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "a"},
        "spec": {"imageDigestMirrors": [{"source": "quay.io", "mirrors": ["m.example"]}]}
    });
    stage.guest.apply(&set).await?;
    let agent = node.unready_agent(&["--source=cluster", "--runtime=containerd"]).await?;
    let message = stage.condition("a", "Applied", "RuntimeNotConfigured").await?;
    ensure!(message.contains("config_path") && message.contains("restart containerd"), "{message}");
    ensure!(agent.readiness().await?.status == 503 && !node.path("etc/containerd/certs.d").exists());
    // A person sets it. The agent notices the change by itself.
    let config =
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n";
    node.write("etc/containerd/config.toml", config)?;
    let file = node.path("etc/containerd/certs.d/quay.io/hosts.toml");
    eventually(Duration::from_secs(10), "the file is written", async || Ok(file.exists().then_some(()))).await?;
    stage.condition("a", "Applied", "AsExpected").await.map(|_| ())
}
