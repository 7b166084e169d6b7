//! The round trip over an air gap: what is missing inside is listed, bundled outside, and loaded inside.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::mock::digest::sha256;
use hypermirror_e2e::mock::store::Blob;
use hypermirror_e2e::release::own_layer;
use serde_json::{Value, json};

use super::stage::{ART, Ran, Stage, name};

const CARRIED: usize = 5;

/// The bytes of all blobs of a repository.
fn bytes(stage: &Stage) -> u64 {
    let store = stage.second.store().repository(ART).clone();
    let size = |blob: &Blob| match blob {
        Blob::Held(bytes) => bytes.len() as u64,
        _ => 0,
    };
    store.blobs.values().map(size).sum()
}

fn sent(ran: &Ran) -> Result<u64> {
    ensure!(ran.code == Some(0), "{ran:?}");
    ran.json()?["amount"]["bytes"].as_u64().context("no bytes")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mirror_lacks_is_carried_over_an_air_gap_and_nothing_else() -> Result<()> {
    for bundle in ["oci:bundle", "oci-archive:bundle.tar"] {
        let stage = Stage::set().await?;
        let (source, mirror) = (stage.source.host(), stage.second.host());
        let set = json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "m"},
            "spec": {"imageDigestMirrors": [{"source": format!("{source}/ocp"), "mirrors": [format!("{mirror}/ocp")],
                "mirrorSourcePolicy": "NeverContactSource"}]}});
        stage.write("mirrors.yaml", &[set])?;
        {
            let mut store = stage.second.store();
            let held = store.repository(ART);
            held.manifests.clear();
            held.blobs.clear();
        }
        let images: Vec<String> = (0..CARRIED).map(|number| stage.image(number)).collect();
        let mut asked = vec!["coverage", "--plain-http"];
        asked.extend(images.iter().flat_map(|image| ["--image", image]));

        // Inside, where the source is not asked.
        let want = stage.run(&[&asked[..], &["-o", "want"]].concat()).await?;
        ensure!(want.code == Some(1) && want.stdout.lines().count() == CARRIED, "{want:?}");
        ensure!(!stage.source.lines().iter().any(|line| line.contains(ART)), "{:?}", stage.source.lines());
        std::fs::write(stage.input().join("want.txt"), &want.stdout)?;

        // Outside, where the mirror is not reached.
        stage.second.clear_requests();
        let out = ["copy", "--plain-http", "-o", "json", "--want", "want.txt", bundle];
        let dry = sent(&stage.run_alone(&[&out[..], &["--dry-run"]].concat()).await?)?;
        let carried = sent(&stage.run_alone(&out).await?)?;
        ensure!(stage.second.lines().is_empty(), "{:?}", stage.second.lines());

        // Inside, where the source is not reached.
        stage.source.clear_requests();
        let load = ["copy", "--plain-http", "-o", "json", bundle, &mirror];
        let loaded = sent(&stage.run_alone(&load).await?)?;
        ensure!(stage.source.lines().is_empty(), "{:?}", stage.source.lines());
        ensure!((dry, carried, loaded) == (bytes(&stage), bytes(&stage), bytes(&stage)), "{dry} {carried} {loaded}");
        let held = stage.run(&[&asked[..], &["-o", "json"]].concat()).await?;
        ensure!(held.code == Some(0), "{held:?}");

        // Once more: everything is there.
        let again = stage.run_alone(&load).await?;
        let states: Vec<Value> = again.json()?["images"].as_array().context("no images")?.clone();
        ensure!(states.len() == CARRIED && states.iter().all(|image| image["state"] == "Unchanged"), "{again:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_a_mirror_lost_is_filled_and_nothing_else_is_sent() -> Result<()> {
    let stage = Stage::set().await?;
    let (source, mirror) = (stage.source.host(), stage.first.host());
    let set = json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "m"},
        "spec": {"imageDigestMirrors": [{"source": format!("{source}/ocp"), "mirrors": [format!("{mirror}/ocp")]}]}});
    stage.write("mirrors.yaml", &[set])?;
    let (lost, image) = (sha256(own_layer(&name(2), "arm64").as_bytes()), stage.image(2));
    stage.first.store().repository(ART).blobs.remove(&lost);
    let asked = ["coverage", "--plain-http", "--image", &image];
    ensure!(stage.run(&asked).await?.code == Some(1));
    stage.first.clear_requests();
    let filled = stage.run(&[&asked[..], &["--fill"]].concat()).await?;
    ensure!(filled.code == Some(0), "{filled:?}");
    ensure!(stage.first.store().repository(ART).blobs.contains_key(&lost));
    let begun = stage.first.lines().iter().filter(|line| line.starts_with("POST ")).count();
    ensure!(begun == 1, "{:?}", stage.first.lines());
    Ok(())
}
