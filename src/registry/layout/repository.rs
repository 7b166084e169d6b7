//! One image, or one repository, of a layout: names in a layout are those of whole references.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::super::distribution::Fetched;
use super::super::error::RegistryError;
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::{Layout, LayoutError, Trouble};

/// How tags begin that registries and cosign keep signatures under: `sha256-HEX.sig`. They are never the name of an image.
const ATTACHED: &str = "sha256-";

/// A repository of a layout. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LayoutRepository {
    layout: Layout,
    /// `quay.io/org/app`; empty for a layout whose names are tags.
    repository: Arc<str>,
    /// The name of its image, whatever tag it gets elsewhere.
    name: Option<Arc<str>>,
    destinations: Arc<BTreeSet<String>>,
}

impl fmt::Display for LayoutRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layout.fmt(f)?;
        let name = self.written_as();
        if name.is_empty() { Ok(()) } else { write!(f, ":{name}") }
    }
}

impl LayoutRepository {
    /// A repository by its full name.
    pub fn new(layout: Layout, repository: &str) -> Self {
        Self { layout, repository: repository.into(), name: None, destinations: Arc::default() }
    }

    /// An image is written under this name, for these destinations.
    #[must_use]
    pub fn naming(self, name: &str, destinations: BTreeSet<String>) -> Self {
        Self { name: Some(name.into()), destinations: Arc::new(destinations), ..self }
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is written to it is named so, or begins so.
    pub fn written_as(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.repository)
    }

    fn name_of(&self, tag: &str) -> String {
        match &self.name {
            Some(name) if !tag.starts_with(ATTACHED) => name.to_string(),
            _ if self.repository.is_empty() => tag.to_owned(),
            _ => format!("{}:{tag}", self.repository),
        }
    }

    /// The digest of a manifest.
    ///
    /// # Errors
    /// It is not there.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, LayoutError> {
        match reference {
            Reference::Digest(digest) => Ok(self.layout.manifest(digest).await?.digest),
            Reference::Tag(tag) => {
                let name = self.name_of(tag);
                let missing = || self.layout.failed("find an image in", None, Trouble::Missing(name.clone()));
                Ok(self.layout.find(&name)?.ok_or_else(missing)?.digest)
            }
        }
    }

    /// A manifest with its bytes.
    ///
    /// # Errors
    /// It is not there, or is another one.
    pub async fn manifest(&self, reference: &Reference) -> Result<Fetched, LayoutError> {
        let digest = self.digest(reference).await?;
        self.layout.manifest(&digest).await
    }

    /// Writes a manifest, and gives it a tag's name.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn put(&self, reference: &Reference, manifest: &Fetched) -> Result<(), RegistryError> {
        self.layout.write_manifest(manifest).await?;
        if let Reference::Tag(tag) = reference {
            let entry = Layout::entry(manifest).named(&self.name_of(tag), &self.destinations);
            self.layout.put(entry).await?;
        }
        Ok(())
    }

    /// The tags of the repository.
    pub fn tags(&self) -> Vec<String> {
        let tag = |name: String| match &*self.repository {
            "" => Some(name),
            repository => name.strip_prefix(repository)?.strip_prefix(':').map(str::to_owned),
        };
        self.layout.entries().into_iter().filter_map(|entry| tag(entry.name?)).collect()
    }
}
