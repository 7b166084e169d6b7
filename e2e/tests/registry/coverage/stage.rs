//! A release of 190 images for two architectures, on a source and two mirrors, and three hosted clusters with different mirrors.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::mock::store::Store;
use hypermirror_e2e::release::{IMAGE, Release, Repositories};
use hypermirror_e2e::{MockRegistry, binaries};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const IMAGES: usize = 190;
/// The repositories of a release: of its images, and of itself.
pub const ART: &str = "ocp/art";
pub const RELEASE: &str = "ocp/release";

pub struct Stage {
    pub source: MockRegistry,
    pub first: MockRegistry,
    pub second: MockRegistry,
    pub release: Digest,
    /// The indexes of the payload, by name.
    pub images: Vec<(String, Digest)>,
    directory: TempDir,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ran {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| self.stderr.clone())
    }
}

impl Stage {
    pub async fn set() -> Result<Self> {
        let (source, first, second) =
            (MockRegistry::start().await?, MockRegistry::start().await?, MockRegistry::start().await?);
        let places = Repositories { source: &source.host(), images: ART, release: RELEASE };
        let names: Vec<String> = (0..IMAGES).map(name).collect();
        let Release { digest: release, images } = Release::add(&mut source.store(), places, &names)?;
        let everything = source.store().repositories.clone();
        first.store().repositories.clone_from(&everything);
        second.store().repositories = everything;
        // The second mirror was never filled to the end.
        let half: BTreeSet<&Digest> = images.iter().skip(IMAGES / 2).map(|(_, digest)| digest).collect();
        second.store().repository(ART).manifests.retain(|digest, _| !half.contains(digest));
        Ok(Self { source, first, second, release, images, directory: tempfile::tempdir()? })
    }

    /// The release image as clusters name it.
    pub fn release_image(&self) -> String {
        format!("{}/{RELEASE}@{}", self.source.host(), self.release)
    }

    /// An image of the payload as the release names it.
    pub fn image(&self, number: usize) -> String {
        format!("{}/{ART}@{}", self.source.host(), self.images[number].1)
    }

    /// Hosted clusters: one with the full mirror, one that tries the other one before, one without mirrors.
    pub fn write_fleet(&self) -> Result<()> {
        let (source, first, second) = (self.source.host(), self.first.host(), self.second.host());
        let cluster = |name: &str, mirrors: &[&String]| {
            let mirrors: Vec<String> = mirrors.iter().map(|host| format!("{host}/ocp")).collect();
            let own = if mirrors.is_empty() {
                json!([])
            } else {
                json!([{"source": format!("{source}/ocp"), "mirrors": mirrors}])
            };
            json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
                "metadata": {"name": name, "namespace": "clusters"},
                "spec": {"release": {"image": self.release_image()}, "imageContentSources": own}})
        };
        let pool = |name: &str| {
            json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
                "metadata": {"name": format!("{name}-workers"), "namespace": "clusters"},
                "spec": {"clusterName": name, "release": {"image": self.release_image()}}})
        };
        let mirrors = json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "m"},
            "spec": {"imageDigestMirrors": [{"source": format!("{source}/ocp"), "mirrors": [format!("{first}/ocp")]}]}});
        let objects = [
            mirrors,
            cluster("west", &[&first]),
            cluster("east", &[&second, &first]),
            cluster("lab", &[]),
            pool("west"),
            pool("east"),
            pool("lab"),
        ];
        self.write("fleet.yaml", &objects)
    }

    /// Objects as one file of the input.
    pub fn write(&self, name: &str, objects: &[Value]) -> Result<()> {
        let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
        Ok(std::fs::write(self.input().join(name), documents.join("\n---\n"))?)
    }

    pub fn input(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the binary with the files of the input.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_alone(&[arguments, &["-f", "."]].concat()).await
    }

    /// Runs the binary in the directory of the input.
    pub async fn run_alone(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = tokio::process::Command::new(binaries::operator()?);
        command.env_clear().env("HOME", self.input()).current_dir(self.input()).args(arguments);
        let output = command.kill_on_drop(true).output().await?;
        Ok(Ran {
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
            code: output.status.code(),
        })
    }

    /// The registry of this host and port.
    pub fn registry(&self, host: &str) -> Option<&MockRegistry> {
        [&self.source, &self.first, &self.second].into_iter().find(|registry| registry.host() == host)
    }
}

/// The name of an image of the payload. The first one is of those that HyperShift's operators look up themselves.
pub fn name(number: usize) -> String {
    if number == 0 { "hypershift".to_owned() } else { format!("component-{number:03}") }
}

/// A signature as cosign pushes it, of each manifest of a repository that is not an index.
pub fn sign_all(store: &mut Store, repository: &str) {
    let manifests = store.repository(repository).manifests.clone();
    for (digest, manifest) in manifests.iter().filter(|(_, manifest)| manifest.media_type == IMAGE) {
        let payload = store.add_blob(repository, format!("signature of {}", digest.len() + manifest.bytes.len()));
        let layer =
            json!({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": &*payload, "size": 0});
        let signature = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": layer, "layers": [layer]});
        let signature = store.add_manifest(repository, IMAGE, signature.to_string());
        store.tag(repository, &format!("{}.sig", digest.replace(':', "-")), &signature);
    }
}
