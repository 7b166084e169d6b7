//! Imports: what pods that cannot pull get, and what they do not.

mod credentials;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures::stream::{self, TryStreamExt as _};
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::{Testbed, consistently, eventually};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::images::{digest, requests};
use super::stage::{MIRROR, QUIET, Stage, add_image, condition, install, launch};

/// A rule in this namespace, with more in its spec.
pub fn rule(namespace: &str, name: &str, source: &str, destination: &str, more: &Value) -> Value {
    let mut spec = json!({"source": {"prefix": source}, "destination": {"prefix": destination}, "tags": ["1.x"]});
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "ImportRule",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// Pods as a kubelet leaves them that cannot pull their image.
pub async fn failing_pods(
    fleet: &Fleet,
    namespace: &str,
    names: impl IntoIterator<Item = String>,
    image: &str,
) -> Result<()> {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
    fleet.apply(&account).await?;
    let api: &Api<Pod> = &Api::namespaced(fleet.client.clone(), namespace);
    let create = |name: String| async move {
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "app", "image": image}]},
        });
        api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        let waiting = json!({"name": "app", "image": image, "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"docker.io/evil/x:1\""}}});
        let status = json!({"status": {"phase": "Pending", "containerStatuses": [waiting]}});
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
        anyhow::Ok(())
    };
    stream::iter(names.into_iter().map(Ok)).try_for_each_concurrent(16, create).await
}

async fn failing_pod(stage: &Stage, name: &str, image: &str) -> Result<()> {
    failing_pods(&stage.fleet, &stage.namespace, [name.to_owned()], image).await
}

/// The notes of events of this reason about a kind.
async fn notes(stage: &Stage, kind: &str, reason: &str) -> Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(stage.fleet.client.clone(), &stage.namespace);
    let all = api.list(&ListParams::default()).await?.items;
    let is_one = |event: &Event| {
        event.reason.as_deref() == Some(reason)
            && event.regarding.as_ref().is_some_and(|about| about.kind.as_deref() == Some(kind))
    };
    Ok(all.into_iter().filter(is_one).filter_map(|event| event.note).collect())
}

#[tokio::test]
async fn two_hundred_pods_that_cannot_pull_an_image_make_one_copy() -> Result<()> {
    let stage = Stage::new("imports-many").await?;
    let (quay, mirror) = (&stage.world.registries.quay, &stage.world.registries.mirror);
    let wanted = add_image(quay, "many/app", "1.0", "many");
    let object = rule("imports-many", "many", "quay.io/many", &format!("{MIRROR}/many"), &json!({}));
    stage.fleet.apply(&object).await?;
    stage.wait_for_status(&object, "Ready", |status| condition(status, "Ready") == Some(("True", "InForce"))).await?;
    let names = (0..200).map(|place| format!("web-{place}"));
    failing_pods(&stage.fleet, &stage.namespace, names, &format!("{MIRROR}/many/app:1.0")).await?;
    let status = stage.wait_for_status(&object, "an import", |status| status["imported"] == 1).await?;
    assert_eq!(digest(mirror, "many/app", "1.0").as_deref(), Some(&*wanted));
    let line = &status["imports"][0];
    assert_eq!((&line["result"], &line["source"]), (&json!("Imported"), &json!("quay.io/many/app")), "{line}");
    assert_eq!((&line["destination"], &line["digest"]), (&json!(format!("{MIRROR}/many/app:1.0")), &json!(&*wanted)));
    ensure!(line["pod"].as_str().unwrap().starts_with("imports-many/web-"), "{line}");
    consistently(QUIET, "nothing is copied again", async || {
        ensure!(stage.status(&object).await?["imports"].as_array().map(Vec::len) == Some(1));
        Ok(())
    })
    .await?;
    let layers =
        requests(quay, "many/app").into_iter().filter(|line| line.starts_with("GET ") && line.contains("/blobs/"));
    let layers: Vec<String> = layers.collect();
    assert_eq!(layers.len(), layers.iter().collect::<BTreeSet<_>>().len(), "each blob is read once: {layers:#?}");
    for kind in ["ImportRule", "Pod"] {
        let notes = notes(&stage, kind, "ImageImported").await?;
        ensure!(notes.len() == 1 && notes[0].contains("from quay.io/many/app"), "{kind}: {notes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_copied_without_a_rule_for_another_registrys_name_or_outside_of_the_namespaces() -> Result<()> {
    let stage = Stage::new("imports-none").await?;
    stage.add_namespace("imports-elsewhere").await?;
    let registries = &stage.world.registries;
    for (registry, repository) in
        [(&registries.hub, "foo/bar"), (&registries.quay, "none/app"), (&registries.quay, "other/app")]
    {
        add_image(registry, repository, "1.0", repository);
    }
    let object = rule("imports-none", "hub", "docker.io/foo", &format!("{MIRROR}/hub/foo"), &json!({}));
    stage.fleet.apply(&object).await?;
    let other = rule("imports-elsewhere", "other", "quay.io/other", &format!("{MIRROR}/other"), &json!({}));
    stage.fleet.apply(&other).await?;
    let mark = [&registries.hub, &registries.quay].map(|registry| registry.requests().len());
    for (place, image) in [
        format!("{MIRROR}/none/app:1.0"),    // no rule
        format!("{MIRROR}/foo/bar:1.0"),     // never Docker Hub's foo/bar
        format!("{MIRROR}/other/app:1.0"),   // the rule counts the pods of another namespace
        "foo/bar:1.0".to_owned(),            // the source itself
        format!("{MIRROR}/hub/foo/bar:2.0"), // a tag that is not allowed
    ]
    .iter()
    .enumerate()
    {
        failing_pod(&stage, &format!("web-{place}"), image).await?;
    }
    consistently(2 * QUIET, "nothing is copied", async || {
        for repository in ["none/app", "foo/bar", "other/app", "hub/foo/bar"] {
            ensure!(!registries.mirror.store().repositories.contains_key(repository), "{repository}");
        }
        let hub = requests(&registries.hub, "foo/bar").len();
        ensure!(hub == 0, "Docker Hub was asked: {hub}, before {mark:?}");
        Ok(())
    })
    .await?;
    // What the rule covers is copied: the process looks at these pods.
    failing_pod(&stage, "cured", &format!("{MIRROR}/hub/foo/bar:1.0")).await?;
    stage.wait_for_status(&object, "an import", |status| status["imported"] == 1).await?;
    ensure!(digest(&registries.mirror, "hub/foo/bar", "1.0").is_some());
    ensure!(!registries.mirror.store().repositories.contains_key("foo/bar"));
    // Another namespace only where the administrator allows it.
    let greedy =
        rule("imports-none", "greedy", "quay.io/x", &format!("{MIRROR}/x"), &json!({"namespaces": ["kube-system"]}));
    stage.fleet.apply(&greedy).await?;
    let refused = |status: &Value| condition(status, "Ready") == Some(("False", "NamespaceNotAllowed"));
    stage.wait_for_status(&greedy, "a refusal", refused).await?;
    let outside = rule("imports-none", "outside", "quay.io/x", "registry.corp/x", &json!({}));
    stage.fleet.apply(&outside).await?;
    let refused = |status: &Value| condition(status, "Stalled") == Some(("True", "DestinationNotAllowed"));
    stage.wait_for_status(&outside, "a refusal", refused).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_that_two_rules_cover_is_imported_by_neither() -> Result<()> {
    let stage = Stage::new("imports-two").await?;
    stage.add_namespace("imports-two-other").await?;
    let registries = &stage.world.registries;
    add_image(&registries.quay, "two/app", "1.0", "right");
    add_image(&registries.hub, "evil/app", "1.0", "wrong");
    let one = rule("imports-two", "one", "quay.io/two", &format!("{MIRROR}/two"), &json!({}));
    let two = rule("imports-two-other", "two", "docker.io/evil", &format!("{MIRROR}/two"), &json!({}));
    for object in [&one, &two] {
        stage.fleet.apply(object).await?;
        stage.wait_for_status(object, "Ready", |status| condition(status, "Ready").is_some()).await?;
    }
    let image = format!("{MIRROR}/two/app:1.0");
    failing_pod(&stage, "web", &image).await?;
    for (object, other) in [(&one, "imports-two-other/two"), (&two, "imports-two/one")] {
        let overlaps = |status: &Value| condition(status, "Ready") == Some(("False", "RulesOverlap"));
        let status = stage.wait_for_status(object, "the overlap", overlaps).await?;
        let message = status["conditions"][0]["message"].as_str().unwrap();
        ensure!(message.contains(&image) && message.contains(other), "{message}");
    }
    ensure!(digest(&registries.mirror, "two/app", "1.0").is_none(), "neither is copied");
    stage.fleet.delete(&two).await?;
    stage.wait_for_status(&one, "an import", |status| status["imported"] == 1).await?;
    let wanted = digest(&registries.quay, "two/app", "1.0");
    assert_eq!(digest(&registries.mirror, "two/app", "1.0"), wanted);
    Ok(())
}

#[tokio::test]
async fn a_limit_holds_imports_mirrors_decide_and_a_tag_is_never_replaced() -> Result<()> {
    let stage = Stage::new("imports-rest").await?;
    let (quay, mirror) = (&stage.world.registries.quay, &stage.world.registries.mirror);
    let set = json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "imports"},
        "spec": {"imageDigestMirrors": [{"source": "quay.io/rest", "mirrors": [format!("{MIRROR}/rest")]}]},
    });
    stage.fleet.apply(&set).await?;
    let held = add_image(mirror, "rest/kept", "1.0", "what somebody pushed");
    add_image(quay, "rest/kept", "1.0", "another one");
    let wanted = add_image(quay, "rest/app", "1.0", "app");
    add_image(quay, "rest/later", "1.0", "later");
    let object = rule("imports-rest", "rest", "quay.io/rest", &format!("{MIRROR}/rest"), &json!({"importsPerHour": 2}));
    stage.fleet.apply(&object).await?;

    failing_pod(&stage, "kept", &format!("{MIRROR}/rest/kept:1.0")).await?;
    let refused = |status: &Value| status["imports"][0]["result"] == "TagDiffers";
    let status = stage.wait_for_status(&object, "a refusal", refused).await?;
    ensure!(status["imported"] == 0 && status["failed"] == 1, "{status:#}");
    assert_eq!(digest(mirror, "rest/kept", "1.0").as_deref(), Some(&*held));

    // By digest, through the mirror that the cluster declares. Mirrors are read again from time to time.
    failing_pod(&stage, "app", &format!("quay.io/rest/app@{}", &*wanted)).await?;
    eventually(2 * SOON, "an import", async || Ok((stage.status(&object).await?["imported"] == 1).then_some(())))
        .await?;
    assert_eq!(digest(mirror, "rest/app", &wanted).as_deref(), Some(&*wanted));

    failing_pod(&stage, "later", &format!("{MIRROR}/rest/later:1.0")).await?;
    let limited = |status: &Value| condition(status, "Limited") == Some(("True", "RateLimit"));
    let status = stage.wait_for_status(&object, "the limit", limited).await?;
    let message = status["conditions"][2]["message"].as_str().unwrap();
    ensure!(message.contains("2 imports") && message.contains("not before 20"), "{message}");
    ensure!(digest(mirror, "rest/later", "1.0").is_none());
    Ok(())
}

#[tokio::test]
async fn a_rule_that_cannot_be_used_is_refused_by_the_api_server_with_field_and_value() -> Result<()> {
    let stage = Stage::new("imports-invalid").await?;
    for (source, destination, more, expected) in [
        ("acme", "a.example/acme", json!({}), "prefix acme names no registry"),
        ("https://quay.io", "a.example", json!({}), "prefix https://quay.io is not HOST"),
        ("quay.io/acme/", "a.example", json!({}), "prefix quay.io/acme/ is not HOST"),
        ("quay.io/acme:1", "a.example", json!({}), "prefix quay.io/acme:1 is not HOST"),
        ("quay.io/acme", "quay.io/acme", json!({}), "destination.prefix quay.io/acme is the same as source.prefix"),
        ("quay.io/acme", "a.example", json!({"namespaces": ["A_b"]}), "namespaces has A_b"),
        ("quay.io/acme", "a.example", json!({"tags": [], "digests": false}), "nothing would be imported"),
    ] {
        let error = stage.fleet.apply(&rule("imports-invalid", "x", source, destination, &more)).await.unwrap_err();
        let message = format!("{error:#}");
        ensure!(message.contains(expected), "{expected}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_feature_no_pod_is_watched_and_nothing_is_imported() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    install(cluster).await?;
    let fleet = Fleet { client: cluster.admin_client().await? };
    let audit = cluster.audit().await?;
    let mark = audit.mark().await?;
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "off"}})).await?;
    let object = rule("off", "off", "quay.io/off", &format!("{MIRROR}/off"), &json!({}));
    fleet.apply(&object).await?;
    failing_pods(&fleet, "off", ["web".to_owned()], &format!("{MIRROR}/off/app:1.0")).await?;
    let launch = launch(cluster, "off").await?.arg("--inventory-bind-address=127.0.0.1:0");
    let mut process = launch.arg(format!("--destination-allow={MIRROR}")).spawn()?;
    let health = process.wait_for_log_field("health server listening", "address", SOON).await?;
    process.wait_until_ready(&format!("http://{health}/readyz"), SOON).await?;
    consistently(QUIET, "nothing is written", async || {
        let found = fleet.api_of(&object)?.get("off").await?;
        // The API server itself gives it a status, so that nobody takes it for current.
        ensure!(found.data["status"].get("conditions").is_none_or(|conditions| *conditions == json!([])), "{found:?}");
        Ok(())
    })
    .await?;
    let asked = audit.since(mark).await?;
    let of_process = |resource: &str| {
        asked.iter().filter(|event| event.resource == resource && event.user.contains("registry-manager")).count()
    };
    assert_eq!((of_process("pods"), of_process("importrules")), (0, 0));
    Ok(())
}
