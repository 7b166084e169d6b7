//! An image in its own registry.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::binaries::{self, Servers};
use crate::image::{Image, ImageSource};
use crate::pki::Authority;
use crate::registry::Registry;

/// The path of the agent in its image.
const AGENT: &str = "/usr/local/bin/hypermirror-agent";

/// A registry with one image.
#[derive(Debug)]
pub struct Served {
    /// The registry.
    pub registry: Registry,
    /// The digest of the image.
    pub digest: String,
    /// The ID of the image in a container runtime.
    pub id: String,
    directory: TempDir,
}

impl Served {
    /// Serves an image with a program that does nothing. Each call creates a different image.
    ///
    /// # Errors
    ///
    /// If a part is missing or the registry does not start.
    pub async fn start(name: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let registry = Registry::start(directory.path()).await?;
        let source = idle(directory.path())?.marker(registry.host());
        Self::serve(directory, registry, name, &source).await
    }

    /// Like [`Served::start`], with a registry that has a certificate of this authority.
    ///
    /// # Errors
    ///
    /// As [`Served::start`].
    pub async fn start_tls(name: &str, authority: &Authority) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let registry = Registry::start_tls(directory.path(), authority).await?;
        let source = idle(directory.path())?.marker(registry.host());
        Self::serve(directory, registry, name, &source).await
    }

    /// Serves the agent under this name: the static `hypermirror-agent` that `hack/testbed/agent-image` builds.
    ///
    /// # Errors
    ///
    /// If it was not built, or the registry does not start.
    pub async fn agent(name: &str) -> Result<Self> {
        let program = binaries::static_agent()?;
        let directory = tempfile::tempdir()?;
        let registry = Registry::start(directory.path()).await?;
        Self::serve(directory, registry, name, &ImageSource::new(AGENT, program).user("65532:65532")).await
    }

    async fn serve(directory: TempDir, registry: Registry, name: &str, source: &ImageSource) -> Result<Self> {
        let image = Image::build(&directory.path().join("layout"), source)?;
        image.push(registry.host(), name).await?;
        Ok(Self { digest: image.digest().to_owned(), id: image.id().to_owned(), registry, directory })
    }

    /// The directory of its files, which can also have further images.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The image by digest, with a name in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}@{}", self.registry.host(), self.digest)
    }
}

/// A program that does nothing. Without a node it is never executed, so any file is sufficient.
fn idle(directory: &Path) -> Result<ImageSource> {
    if let Ok(program) = Servers::from_env().find("pause") {
        return Ok(ImageSource::new("/app", program));
    }
    let stand_in = directory.join("stand-in");
    std::fs::write(&stand_in, "nobody runs this\n")?;
    Ok(ImageSource::new("/app", stand_in))
}
