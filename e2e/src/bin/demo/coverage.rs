//! A release on a mirror that lacks a part of one image.

use anyhow::Result;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::digest::sha256;
use hypermirror_e2e::release::{Release, Repositories, own_layer};
use serde_json::json;

use crate::cli::Cli;
use crate::show::Show;

const IMAGES: &str = "openshift-release-dev/ocp-v4.0-art-dev";
const RELEASE: &str = "openshift-release-dev/ocp-release";
const NAMES: [&str; 5] = ["cluster-version-operator", "etcd", "hypershift", "machine-config-operator", "oauth-server"];

/// Shows what the mirror lacks, copies it, and checks again.
pub async fn prove(show: &Show, cli: &Cli) -> Result<()> {
    show.title("Before an update: does the mirror have all images of the release?");
    let (origin, mirror) = (MockRegistry::start().await?, MockRegistry::start().await?);
    let source = origin.host();
    let places = Repositories { source: &source, images: IMAGES, release: RELEASE };
    let release = Release::add(&mut origin.store(), places, &NAMES.map(str::to_owned))?;
    let everything = origin.store().repositories.clone();
    mirror.store().repositories = everything;
    let layer = own_layer("etcd", "arm64");
    mirror.store().repository(IMAGES).blobs.remove(&sha256(layer.as_bytes()));
    let directory = tempfile::tempdir()?;
    let mirrors = directory.path().join("mirrors.yaml");
    let set = json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "release"},
    "spec": {"imageDigestMirrors": [{
        "source": format!("{source}/openshift-release-dev"), "mirrorSourcePolicy": "NeverContactSource",
        "mirrors": [format!("{}/openshift-release-dev", mirror.host())]
    }]}});
    std::fs::write(&mirrors, set.to_string())?;
    let (mirrors, image) = (mirrors.display().to_string(), format!("{source}/{RELEASE}@{}", release.digest));
    let args = ["coverage", "-f", &mirrors, "--release", &image, "--plain-http"];
    cli.run(show, &args)?;
    show.note("The mirror lacks one layer of one image, for one architecture. Copy what is missing, and check again:");
    cli.run(show, &[&args[..], &["--fill"]].concat())
}
