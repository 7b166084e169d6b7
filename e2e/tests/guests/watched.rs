//! What somebody does to our objects in a guest is mended at once: the next look would be minutes away.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::objects::icsp;
use hypermirror_e2e::fleet::{Fleet, SOON};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::stage::{AGENT, Stage, found, object};

const A: &str = "registry.example/a";

#[tokio::test]
async fn a_mirror_set_that_is_deleted_or_edited_in_a_guest_is_restored() -> Result<()> {
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

#[tokio::test]
async fn the_agent_its_permissions_and_kinds_are_restored_in_a_guest() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    let guest = &stage.guests[0];
    // No look of its own for as long as this takes.
    let _manager = stage.launch("manager").arg("--guest-interval=1h").start_ready(stage.scene.management()).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let crd = |plural: &str| {
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition", &format!("{plural}.hypermirror.dev"))
    };
    let mut daemon_set = object("apps/v1", "DaemonSet", AGENT.1);
    daemon_set["metadata"]["namespace"] = AGENT.0.into();
    let role = object("rbac.authorization.k8s.io/v1", "ClusterRole", AGENT.1);
    let binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", AGENT.1);
    let edits = [
        (daemon_set, json!({"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}}})),
        (role, json!({"rules": []})),
        (binding, json!({"subjects": []})),
        (crd("nodemirrorstatuses"), json!({"spec": {"names": {"singular": "somebody-elses"}}})),
    ];
    let mut before = Vec::new();
    for (object, _) in &edits {
        before.push(found(guest, object).await?.with_context(|| format!("no {object}"))?);
    }
    // All at once: one after the other is restored after a growing time.
    for (object, _) in &edits {
        guest.api_of(object)?.delete(name_of(object), &DeleteParams::default()).await?;
    }
    let mut anew = Vec::new();
    for before in &before {
        anew.push(restored(guest, before, |now| now["metadata"]["uid"] != before["metadata"]["uid"]).await?);
    }
    for (object, edit) in &edits {
        guest.merge(object, edit).await?;
    }
    for anew in &anew {
        let is_newer = |now: &Value| now["metadata"]["resourceVersion"] != anew["metadata"]["resourceVersion"];
        restored(guest, anew, is_newer).await?;
    }
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    Ok(())
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Waits until an object says again what it said, and is otherwise as it should be.
async fn restored(guest: &Fleet, first: &Value, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let said = |object: &Value| ["rules", "subjects", "spec"].map(|field| object[field].clone());
    eventually(SOON, &format!("{} is as it was", first["kind"]), async || {
        let now = found(guest, first).await?.context("it is not there")?;
        ensure!(said(&now) == said(first) && is_so(&now), "{now}");
        Ok(Some(now))
    })
    .await
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
