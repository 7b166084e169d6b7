//! Images that buildah builds: made once for a checkout, and put into registries from an OCI layout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::digest::Digest;
use serde_json::Value;
use tokio::process::Command;

/// How many images are built. The last ones have layers that zstd compresses.
pub const BUILT: usize = 12;
const ZSTD: usize = 4;
/// Another one makes other images.
const NAME: &str = "built-by-buildah-1";

/// The layout with the images. The directory appears as a whole: of several processes that build, one wins.
async fn layout() -> Result<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(NAME);
    if place.is_dir() {
        return Ok(place);
    }
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for number in 0..BUILT {
        build(work.path(), number).await.with_context(|| format!("image {number}"))?;
    }
    let made = std::fs::rename(work.path().join("layout"), &place);
    ensure!(made.is_ok() || place.is_dir(), "{made:?}");
    Ok(place)
}

/// One image of two layers: one that some of them share, and one of its own.
async fn build(work: &Path, number: usize) -> Result<()> {
    let context = work.join(format!("context-{number}"));
    std::fs::create_dir_all(&context)?;
    std::fs::write(context.join("shared"), format!("shared by some {}", number % 3).repeat(500))?;
    std::fs::write(context.join("own"), format!("own of {number}").repeat(100 * (number + 1)))?;
    let file = format!("FROM scratch\nCOPY shared /shared\nCOPY own /own\nLABEL number={number}\nCMD [\"/own\"]\n");
    std::fs::write(context.join("Containerfile"), file)?;
    let name = format!("localhost/built:{number}");
    let to_context = context.display().to_string();
    buildah(work, &["build", "--isolation=chroot", "--layers", "--timestamp=0", "--tag", &name, &to_context]).await?;
    let to = format!("oci:{}:built-{number}", work.join("layout").display());
    let compression = if number + ZSTD >= BUILT { "zstd" } else { "gzip" };
    buildah(work, &["push", "--compression-format", compression, &name, &to]).await
}

async fn buildah(work: &Path, arguments: &[&str]) -> Result<()> {
    let below = |name: &str| work.join(name);
    let mut command = Command::new("buildah");
    command.env_clear().env("HOME", work).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", work);
    command.arg("--root").arg(below("root")).arg("--runroot").arg(below("runroot")).arg("--storage-driver=vfs");
    let output = command.args(arguments).kill_on_drop(true).output().await;
    let output = output.context("is buildah installed? hack/setup test")?;
    ensure!(output.status.success(), "buildah {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Adds the images to a repository, with their tags.
pub async fn add_built(registry: &MockRegistry, repository: &str) -> Result<Vec<(String, String)>> {
    let layout = layout().await?;
    let blob = |digest: &str| -> Result<Vec<u8>> {
        let hex = digest.strip_prefix("sha256:").context("no sha256")?;
        std::fs::read(layout.join("blobs/sha256").join(hex)).with_context(|| digest.to_owned())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    let mut named = Vec::new();
    for entry in index["manifests"].as_array().context("no manifests")? {
        let bytes = blob(&text(&entry["digest"]))?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let layers = manifest["layers"].as_array().context("no layers")?;
        for part in layers.iter().chain([&manifest["config"]]) {
            registry.store().add_blob(repository, blob(&text(&part["digest"]))?);
        }
        let digest: Digest = registry.store().add_manifest(repository, &text(&entry["mediaType"]), bytes);
        let tag = text(&entry["annotations"]["org.opencontainers.image.ref.name"]);
        registry.store().tag(repository, &tag, &digest);
        named.push((tag, digest.to_string()));
    }
    ensure!(named.len() == BUILT, "{index}");
    named.sort();
    Ok(named)
}
