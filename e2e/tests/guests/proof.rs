//! Sources without a fallback on nodes: held until they are proven or let through, and then live for good.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use hypermirror_e2e::{consistently, eventually};
use serde_json::{Value, json};

use super::stage::{Stage, found, name, object};

const HELD: &str = "registry.example/a";
const FREE: &str = "registry.example/b";

/// Two mirrors of the hosted cluster's own: of a source that may not be contacted, and of one that may.
fn mirrors(mirror: &str) -> Value {
    let idms = format!(
        "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: x\nspec:\n  imageDigestMirrors:\n  \
         - {{source: {HELD}, mirrors: [{mirror}], mirrorSourcePolicy: NeverContactSource}}\n  \
         - {{source: {FREE}, mirrors: [mirror.example/b]}}\n"
    );
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mirrors", "namespace": NAMESPACE},
        "data": {"idms.yaml": idms}
    })
}

/// The mirrors of each source in the guest's set.
async fn in_guest(stage: &Stage) -> Result<Vec<(String, String)>> {
    let set = found(&stage.guests[0], &object("hypermirror.dev/v1alpha1", "NodeMirrorSet", "cluster")).await?;
    let set = set.context("no set")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = set["spec"]["digestMirrors"].as_array().into_iter().flatten();
    Ok(listed.map(|entry| (text(&entry["source"]), text(&entry["mirrors"][0]))).collect())
}

async fn guest_has(stage: &Stage, wanted: &[(&str, &str)]) -> Result<()> {
    let wanted: Vec<(String, String)> = wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    eventually(SOON, &format!("the guest has {wanted:?}"), async || {
        let has = in_guest(stage).await?;
        ensure!(has == wanted, "{has:?}");
        Ok(Some(()))
    })
    .await
}

async fn annotate(stage: &Stage, annotations: &Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": annotations}});
    stage.fleet().merge(&hosted_cluster(&name(0), &[]), &patch).await.map(|_| ())
}

#[tokio::test]
async fn a_source_without_a_fallback_reaches_nodes_when_it_is_let_through_and_its_edit_waits_again() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    stage.fleet().apply(&mirrors("mirror.example/a")).await?;
    let settings = json!({
        "hypermirror.dev/image-mirror-config-ref": "mirrors", "hypermirror.dev/require-proof": "enforce"
    });
    annotate(&stage, &settings).await?;
    let manager = stage.manager().await?;
    // No MirrorCoverage: nobody proves anything.
    let message = stage.condition(0, "GuestSynced", "False", "ProofMissing").await?;
    ensure!(message.contains("no MirrorCoverage") && message.contains(HELD), "{message}");
    guest_has(&stage, &[(FREE, "mirror.example/b")]).await?;

    let token = message.split_once("hypermirror.dev/allow-unproven=").context("no token")?.1;
    let token = token.split_once(' ').context("no end of the token")?.0;
    annotate(&stage, &json!({"hypermirror.dev/allow-unproven": token})).await?;
    guest_has(&stage, &[(HELD, "mirror.example/a"), (FREE, "mirror.example/b")]).await?;
    stage.fleet().condition(&name(0), "GuestSynced", "True", "AsExpected").await?;

    // The next leader knows only what is live: other mirrors wait, and the live ones stay.
    annotate(&stage, &json!({"hypermirror.dev/allow-unproven": null})).await?;
    drop(manager);
    stage.fleet().apply(&mirrors("other.example/a")).await?;
    let _manager = stage.manager().await?;
    let message = stage.condition(0, "GuestSynced", "False", "ProofMissing").await?;
    ensure!(message.contains("other.example/a (mirror.example/a stays in use)"), "{message}");
    consistently(Duration::from_secs(1), "the live mirrors stay", async || {
        let has = in_guest(&stage).await?;
        ensure!(has.first() == Some(&(HELD.to_owned(), "mirror.example/a".to_owned())), "{has:?}");
        Ok(())
    })
    .await
}
