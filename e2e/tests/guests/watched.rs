//! What somebody does to our objects in a guest is mended at once: the next look would be minutes away.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::objects::icsp;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::stage::{Stage, found, object};

const A: &str = "registry.example/a";

#[tokio::test]
async fn a_set_of_mirrors_that_somebody_deletes_or_edits_in_a_guest_comes_back() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    let guest = &stage.guests[0];
    let old = icsp("cluster", &[(A, &["mirror.example/one"], None)]);
    guest.apply(&old).await?;
    let _manager = stage.manager().await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    ensure!(found(guest, &old).await?.is_none(), "the ICSP of an older HyperShift goes with the first look");
    let set = object("hypermirror.dev/v1alpha1", "NodeMirrorSet", "cluster");
    let first = found(guest, &set).await?.context("no set")?;
    guest.api_of(&set)?.delete("cluster", &DeleteParams::default()).await?;
    let second = as_it_was(&stage, &first, |set| set["metadata"]["uid"] != first["metadata"]["uid"]).await?;
    ensure!(second["metadata"]["generation"] == 1, "{second}");
    guest.merge(&set, &json!({"spec": {"digestMirrors": [{"source": A, "mirrors": ["evil.example/a"]}]}})).await?;
    let third = as_it_was(&stage, &first, |set| set["metadata"]["generation"] == 3).await?;
    guest.merge(&set, &json!({"metadata": {"labels": {"hypermirror.dev/managed": null}}})).await?;
    let message = stage.condition(0, "GuestSynced", "False", "PushFailed").await?;
    ensure!(message.contains("without the label hypermirror.dev/managed"), "somebody took it over: {message}");
    ensure!(third["metadata"]["annotations"]["hypermirror.dev/term"].is_string(), "{third}");
    Ok(())
}

/// Waits until the set says again what it said, and is otherwise as it should be.
async fn as_it_was(stage: &Stage, first: &Value, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually(SOON, "the set is as it was", async || {
        let set = found(&stage.guests[0], first).await?.context("no set")?;
        ensure!(set["spec"] == first["spec"] && is_so(&set), "{set}");
        Ok(Some(set))
    })
    .await
}
