//! An image in a registry of its own.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::binaries::{self, Servers};
use crate::image::{Image, ImageSource};
use crate::registry::Registry;

/// Where the agent lies in its image.
const AGENT: &str = "/usr/local/bin/hypermirror";

/// A registry with one image to begin with.
#[derive(Debug)]
pub struct Served {
    /// The registry.
    pub registry: Registry,
    /// The digest of the image.
    pub digest: String,
    /// What a container runtime calls the image.
    pub id: String,
    directory: TempDir,
}

impl Served {
    /// Serves a program that does nothing under this name. No two of them are the same image.
    ///
    /// # Errors
    ///
    /// When a part is missing or the registry does not start.
    pub async fn start(name: &str) -> Result<Self> {
        let program = Servers::from_env().find("pause")?;
        Self::serve(name, |host| ImageSource::new("/app", program).marker(host)).await
    }

    /// Serves the agent under this name: the static `hypermirror` that `hack/testbed/agent-image` builds.
    ///
    /// # Errors
    ///
    /// When it was not built, or the registry does not start.
    pub async fn agent(name: &str) -> Result<Self> {
        let program = binaries::static_operator()?;
        Self::serve(name, |_| ImageSource::new(AGENT, program).user("65532:65532")).await
    }

    async fn serve(name: &str, source: impl FnOnce(&str) -> ImageSource) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let registry = Registry::start(directory.path()).await?;
        let image = Image::build(&directory.path().join("layout"), &source(registry.host()))?;
        image.push(registry.host(), name).await?;
        Ok(Self { digest: image.digest().to_owned(), id: image.id().to_owned(), registry, directory })
    }

    /// Where its files lie; a place for further images, too.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The image by digest, under a name of this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}@{}", self.registry.host(), self.digest)
    }
}
