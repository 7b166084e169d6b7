//! Copies images between registries and OCI layouts: what the destinations lack, and nothing else.
//!
//! [`Copier::survey`] finds out what is there, [`plan`] decides what moves (pure), [`Copier::run`] moves it. Digests are
//! preserved: manifests are never changed. A tag is written when everything that it leads to is there, and nothing is ever
//! deleted.

mod attachments;
pub mod bill;
mod blobs;
mod deliver;
mod fallback_tag;
mod holdings;
mod image;
mod look;
pub mod options;
pub mod plan;
pub mod progress;
mod run;
pub mod side;
mod source;
mod survey;
mod tee;
mod tree;

use std::sync::Arc;

pub use tokio_util::sync::CancellationToken;

use super::error::RegistryError;
use super::name::Reference;
use super::wire::digest::Digest;
pub use bill::Bill;
pub use options::{AnchorTemplate, CopyOptions, PlatformFilter};
pub use plan::{Plan, Totals};
pub use progress::CopyProgress;
pub use side::{RegistrySide, Side, SideKey};
pub use survey::Survey;

/// An image to copy.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where it may come from: the first of them that has it, and the others when that one fails.
    pub sources: Vec<Side>,
    /// Which image.
    pub reference: Reference,
    /// Where it goes to.
    pub destinations: Vec<Destination>,
}

/// Where an image goes to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The repository, or the layout.
    pub side: Side,
    /// The tag; without one an anchor tag is made, because registries sweep manifests without a tag.
    pub tag: Option<String>,
}

/// What became of one image at one destination.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which job, and which of its destinations.
    pub job: usize,
    /// See `job`.
    pub destination: usize,
    /// The digest of the image, if it is known.
    pub digest: Option<Digest>,
    /// The tag that names it there.
    pub tag: Option<String>,
    /// How it ended.
    pub result: Result<Done, CopyError>,
}

/// How an image got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was there: nothing was written.
    Unchanged,
    /// It is there now.
    Copied,
}

/// Why an image is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A registry or a layout.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Somebody wanted it to stop.
    #[error("stopped before it was copied")]
    Stopped,
}

/// What was done altogether.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each image and destination, in the order of the jobs.
    pub outcomes: Vec<Outcome>,
    /// Bytes of blobs that were sent.
    pub bytes: u64,
    /// Blobs that were sent, and blobs that were mounted.
    pub uploaded: usize,
    /// See `uploaded`.
    pub mounted: usize,
    /// What was left out, such as signatures that could not be looked for.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether every image is where it should be.
    pub fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.result.is_ok())
    }
}

/// Copies images. Cheap to clone.
#[derive(Clone)]
pub struct Copier {
    options: Arc<CopyOptions>,
    progress: Arc<dyn CopyProgress>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Copier {
    /// With these options. `stop` ends what is under way, except for a tag that is being written.
    pub fn new(options: CopyOptions, progress: Arc<dyn CopyProgress>, stop: CancellationToken) -> Self {
        Self { options: Arc::new(options), progress, stop }
    }

    /// Copies all of them.
    pub async fn copy(&self, jobs: Vec<Job>) -> Report {
        let survey = self.survey(jobs).await;
        self.run(survey).await
    }
}
