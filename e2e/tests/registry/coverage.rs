//! Coverage of a release for a fleet: what the binary says is what the registries hold.

mod air_gap;
mod bill;
mod stage;
mod unneeded;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::mock::digest::sha256;
use hypermirror_e2e::mock::store::Blob;
use hypermirror_e2e::release::own_layer;
use serde_json::{Value, json};
use stage::{ART, IMAGES, Ran, Stage, name, sign_all};

const COVERAGE: [&str; 4] = ["coverage", "--plain-http", "-o", "json"];

fn images(report: &Value) -> &[Value] {
    report["images"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Where `explain` says that nodes pull images from, by image.
async fn explained(stage: &Stage, cluster: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let (key, pool) = (format!("clusters/{cluster}"), format!("{cluster}-workers"));
    let all: Vec<String> = (0..IMAGES).map(|number| stage.image(number)).collect();
    let mut arguments = vec!["explain", "-o", "json", "--hosted-cluster", &key, "--node-pool", &pool];
    arguments.extend(all.iter().map(String::as_str));
    let explained = stage.run(&arguments).await?.json()?;
    let explained = explained.as_array().context("no list")?;
    let endpoints = |one: &Value| -> Vec<String> {
        let all = one["endpoints"].as_array().into_iter().flatten();
        all.filter_map(|endpoint| endpoint["reference"].as_str().map(str::to_owned)).collect()
    };
    Ok(explained.iter().map(|one| (one["image"].as_str().unwrap_or_default().to_owned(), endpoints(one))).collect())
}

/// Whether the registry of a reference by digest has its manifest.
fn has_manifest(stage: &Stage, reference: &str) -> bool {
    let found = reference.split_once('/').and_then(|(host, rest)| Some((stage.registry(host)?, rest.split_once('@')?)));
    found.is_some_and(|(registry, (repository, digest))| registry.store().manifest(repository, digest).is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_those_of_the_first_endpoint_that_answers_and_each_content_is_asked_for_once() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write_fleet()?;
    let ran = stage.run(&COVERAGE).await?;
    let report = ran.json()?;
    ensure!(ran.code == Some(0), "{}", ran.stderr);
    for cluster in ["west", "east", "lab"] {
        let explained = explained(&stage, cluster).await?;
        let pool = format!("{cluster}-workers");
        let own = images(&report).iter().filter(|it| it["consumer"] == pool.as_str() && it["name"] != Value::Null);
        let mut count = 0;
        for judged in own {
            let image = judged["image"].as_str().context("no image")?;
            let endpoints = explained.get(image).with_context(|| image.to_owned())?;
            let first = endpoints.iter().find(|endpoint| has_manifest(&stage, endpoint)).context("nobody has it")?;
            ensure!(judged["verdict"] == "Held" && judged["reference"] == first.as_str(), "{judged}: {endpoints:?}");
            count += 1;
        }
        ensure!(count == IMAGES, "{cluster}: {count}");
    }
    // The full mirror serves look-ups and pods of all clusters, all nodes of one and half of those of another.
    let held = stage.first.store().repository(ART).clone();
    let (manifests, blobs) = (held.manifests.len(), held.blobs.len());
    ensure!(manifests == 3 * IMAGES);
    let lines: Vec<String> = stage.first.lines().into_iter().filter(|line| line.contains(ART)).collect();
    ensure!(lines.iter().collect::<BTreeSet<_>>().len() == lines.len(), "something was asked for twice");
    ensure!(lines.len() == manifests + blobs, "{} requests for {manifests} manifests, {blobs} blobs", lines.len());
    Ok(())
}

/// What is missing of the images of a report: digest, platform, place and message of each part.
fn lacking(report: &Value) -> BTreeSet<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = BTreeSet::new();
    for place in images(report).iter().flat_map(|image| image["lacking"].as_array().into_iter().flatten()) {
        for part in place["parts"].as_array().into_iter().flatten() {
            found.insert((
                text(&part["digest"]),
                text(&part["platform"]),
                text(&place["reference"]),
                text(&part["message"]),
            ));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_deleted_and_a_byte_that_flips_are_named() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write_fleet()?;
    let image = stage.image(7);
    let (_, digest) = image.split_once('@').context("no digest")?;
    let place = format!("{}/{ART}@{digest}", stage.first.host());
    let layer = sha256(own_layer(&name(7), "arm64").as_bytes());
    stage.first.store().repository(ART).blobs.remove(&layer);
    let west = ["--hosted-cluster", "clusters/west", "--node-pool", "west-workers"];
    let ran = stage.run(&[&COVERAGE[..], &west].concat()).await?;
    let expected = (layer.to_string(), "linux/arm64".to_owned(), place.clone(), "is missing".to_owned());
    ensure!(ran.code == Some(1) && lacking(&ran.json()?) == BTreeSet::from([expected]), "{}", ran.stdout);
    let table = stage.run(&[&["coverage", "--plain-http"][..], &west].concat()).await?;
    let line = format!("{place}: blob {layer} (linux/arm64) is missing");
    ensure!(table.stdout.contains(&line) && table.stdout.contains("component-007"), "{}", table.stdout);
    let want = stage.run(&[&["coverage", "--plain-http", "-o", "want"][..], &west].concat()).await?;
    ensure!(want.stdout == format!("{image}={place}\n"), "{}", want.stdout);
    // The same length, another byte: only the content shows it.
    let flipped = own_layer(&name(7), "arm64").replace("layer", "lajer");
    stage.first.store().repository(ART).blobs.insert(layer.clone(), Blob::Held(flipped.into()));
    let ran = stage.run(&[&COVERAGE[..], &west].concat()).await?;
    ensure!(ran.code == Some(0), "L1 does not see it: {}", ran.stdout);
    let ran = stage.run(&[&COVERAGE[..], &west, &["--level", "L2", "--sample", "all"]].concat()).await?;
    let found = lacking(&ran.json()?);
    let is_it = |part: &(String, String, String, String)| part.0 == *layer && part.3.starts_with("is damaged");
    ensure!(ran.code == Some(1) && found.len() == 1 && found.iter().all(is_it), "{found:?}");
    Ok(())
}

fn signatures(ran: &Ran) -> Result<Value> {
    Ok(images(&ran.json()?).first().context("no image")?["signatures"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_in_force_demands_signatures_at_the_mirror() -> Result<()> {
    let stage = Stage::set().await?;
    let (source, first) = (stage.source.host(), stage.first.host());
    let mirrors = json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "m"},
        "spec": {"imageDigestMirrors": [{"source": format!("{source}/ocp"), "mirrors": [format!("{first}/ocp")]}]}});
    stage.write("mirrors.yaml", &[mirrors])?;
    let image = stage.image(3);
    let asked = [&COVERAGE[..], &["--image", &image]].concat();
    let ran = stage.run(&asked).await?;
    ensure!(ran.code == Some(0) && signatures(&ran)? == "NotRequired", "{ran:?}");
    let policy = json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterImagePolicy", "metadata": {"name": "p"},
        "spec": {"scopes": [format!("{source}/{ART}")], "policy": {}}});
    stage.write("policy.yaml", &[policy])?;
    // Signed at the source, and not at the mirror from which nodes pull.
    sign_all(&mut stage.source.store(), ART);
    let ran = stage.run(&asked).await?;
    let found = lacking(&ran.json()?);
    let platforms: Vec<&str> = found.iter().map(|part| part.1.as_str()).collect();
    ensure!(ran.code == Some(1) && platforms.len() == 2, "{found:?}");
    ensure!(found.iter().all(|part| part.2.starts_with(&first) && part.3 == "is missing"), "{found:?}");
    sign_all(&mut stage.first.store(), ART);
    let ran = stage.run(&asked).await?;
    ensure!(ran.code == Some(0) && signatures(&ran)? == "Held", "{ran:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_not_missing_and_every_endpoint_is_proven_on_demand() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write_fleet()?;
    let image = stage.image(IMAGES - 1);
    let east = ["--hosted-cluster", "clusters/east", "--node-pool", "east-workers"];
    let ran = stage.run(&[&["explain", &image, "--prove", "--plain-http", "-o", "json"][..], &east].concat()).await?;
    let proven = ran.json()?;
    let states: Vec<(&Value, &Value)> = proven[0]["endpoints"]
        .as_array()
        .context("no endpoints")?
        .iter()
        .map(|endpoint| (&endpoint["proof"]["state"], &endpoint["proof"]["isFirst"]))
        .collect();
    ensure!(ran.code == Some(0), "{ran:?}");
    ensure!(
        states == [(&json!("Absent"), &json!(false)), (&json!("Held"), &json!(true)), (&json!("Held"), &json!(false))],
        "{states:?}"
    );
    // Nobody answers at the place of the second mirror any more.
    let Stage { first, second, .. } = &stage;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let fleet = std::fs::read_to_string(stage.input().join("fleet.yaml"))?;
    std::fs::write(stage.input().join("fleet.yaml"), fleet.replace(&second.host(), &closed))?;
    first.clear_requests();
    let ran = stage.run(&[&COVERAGE[..], &east, &["--image", &image, "--max-wait", "1s"]].concat()).await?;
    let verdict = &images(&ran.json()?)[0].clone();
    ensure!(ran.code == Some(3), "{ran:?}");
    ensure!(verdict["verdict"] == "Unknown" && verdict["reason"] == "Unreachable", "{verdict}");
    ensure!(first.lines().is_empty(), "a later place decides nothing: {:?}", first.lines());
    Ok(())
}
