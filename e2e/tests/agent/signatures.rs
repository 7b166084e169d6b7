//! A real CRI-O accepts signed images from mirrors.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::node::Outcome;
use hypermirror_e2e::signature::{SigningKey, tag};
use hypermirror_e2e::{Crds, Launch, Process, RealNode, Served, Testbed, binaries, eventually, needs_node, port};
use serde_json::{Value, json};

const ATTACHMENTS: &str = "/etc/containers/registries.d/hypermirror.yaml";

/// A policy that demands signatures of a repository with this key.
fn policy(repository: &str, key: &SigningKey) -> String {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(key.public());
    let signed = json!([{"type": "sigstoreSigned", "keyData": key, "signedIdentity": {"type": "matchRepository"}}]);
    json!({"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {repository: signed}}}).to_string()
}

fn never_contacted(source: &str, mirror: &str) -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "cluster"},
        "spec": {"layer": "HostedCluster", "digestMirrors": [
            {"source": source, "mirrors": [mirror], "mirrorSourcePolicy": "NeverContactSource"}]}
    })
}

fn agent(bed: &Testbed, node: &RealNode) -> Result<Process> {
    Launch::new("agent", binaries::agent()?, bed.management().directory())
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0", "--reload=signal"])
        .arg(format!("--root={}", node.directory().display()))
        .arg(format!("--node-name={}", node.name()))
        .env("KUBECONFIG", bed.management().kubeconfig_path())
        .spawn()
}

#[tokio::test]
async fn a_signed_image_is_accepted_from_a_mirror_if_a_policy_demands_signatures_of_its_source() -> Result<()> {
    needs_node!();
    let bed = Testbed::builder().controller_manager(true).start().await?;
    let guest = Fleet::of(bed.management()).await?;
    let kinds = Crds::read(&[binaries::repository_root().join("manifests/crd/agent")])?;
    kinds.install(&guest.client).await?;
    let node = RealNode::start(bed.management(), "node-0").await?;
    let served = Served::start("copy/app").await?;
    let source = format!("127.0.0.1:{}", port::free()?);
    let (repository, mirror) = (format!("{source}/app"), format!("{}/copy", served.registry.host()));
    let key = SigningKey::new()?;
    fs::write(node.outside("/etc/containers/policy.json"), policy(&repository, &key))?;
    fs::create_dir_all(node.outside("/etc/containers/registries.d"))?;
    // A file of somebody else has the mirror, without attachments.
    let other = node.outside("/etc/containers/registries.d/other.yaml");
    fs::write(&other, format!("docker:\n  {mirror}/app: {{}}\n"))?;
    guest.apply(&never_contacted(&source, &mirror)).await?;
    let _agent = agent(&bed, &node)?;
    let report =
        json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus", "metadata": {"name": "node-0"}});
    let hidden = async || {
        let status = guest.api_of(&report)?.get("node-0").await?.data["status"].to_string();
        ensure!(status.contains("SignaturesHidden") && status.contains("other.yaml"), "{status}");
        Ok(Some(()))
    };
    eventually(SOON, "the node reports the file", hidden).await?;
    let reference = format!("{repository}@{}", served.digest);
    let pull = async || -> Result<Outcome> { node.crictl().try_run(&["pull", &reference]).await };
    let refused = async |why: &str| {
        let outcome = pull().await?;
        ensure!(!outcome.success && outcome.stderr.contains("signature"), "{why}: {outcome:?}");
        Ok(())
    };
    let file = node.outside(ATTACHMENTS);
    ensure!(
        !file.exists() || !fs::read_to_string(&file)?.contains(&format!("{mirror}/app")),
        "no name is in two files"
    );
    let signature = key.sign(&bed.management().directory().join("signature"), &repository, &served.digest)?;
    signature.push(served.registry.host(), &format!("copy/app:{}", tag(&served.digest))).await?;
    refused("the signature is not looked for").await?;

    // The other file goes, and the agent adds the mirror. Nothing is reloaded for it.
    fs::remove_file(&other)?;
    let text = eventually(SOON, "the mirror is added", async || {
        let text = fs::read_to_string(&file).context("no file yet")?;
        ensure!(text.contains(&mirror), "{text}");
        Ok(Some(text))
    })
    .await?;
    let outcome = pull().await?;
    ensure!(outcome.success, "{outcome:?}\n{text}");
    node.crictl().remove_image(&reference).await?;

    // Another file has the mirror now, as the machine-config-operator writes it: the agent leaves it out.
    fs::write(&other, format!("docker:\n  {mirror}:\n    use-sigstore-attachments: true\n"))?;
    eventually(SOON, "the file is removed", async || Ok((!file.exists()).then_some(()))).await?;
    ensure!(pull().await?.success, "the other file has the same effect");
    node.crictl().remove_image(&reference).await?;

    // A signature of another key is refused, wherever it is looked for.
    let wrong = SigningKey::new()?.sign(&bed.management().directory().join("wrong"), &repository, &served.digest)?;
    wrong.push(served.registry.host(), &format!("copy/app:{}", tag(&served.digest))).await?;
    refused("another key").await
}
