//! One image at its sources, and whether its destinations have it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::error::{Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::attachments::{Finder, Search};
use super::image::Content;
use super::side::SideKey;
use super::tree::{Reader, Role};
use super::{Copier, CopyError, Destination, Done, Job, Outcome};

/// What one job comes to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) outcomes: Vec<Outcome>,
    /// Destinations that lack it, their tags, and whether those name it.
    pub(super) wanted: Vec<(usize, String, bool)>,
    pub(super) content: Option<Arc<Content>>,
    pub(super) warnings: Vec<String>,
}

/// What a tag names at a destination.
type Held = Result<Option<Digest>, RegistryError>;

pub(super) struct Surveyor<'a> {
    copier: &'a Copier,
    reader: Reader,
    finder: Finder,
    /// How many images come from a repository.
    images: HashMap<SideKey, usize>,
    /// Whether the last destination that was asked had the tag: then the next one is expected to have its own.
    is_there: AtomicBool,
}

impl<'a> Surveyor<'a> {
    pub(super) fn new(copier: &'a Copier, jobs: &[Job]) -> Self {
        let mut images = HashMap::new();
        for side in jobs.iter().filter_map(|job| job.sources.first()) {
            *images.entry(side.key()).or_default() += 1;
        }
        let (reader, finder) = (Reader::default(), Finder::default());
        Self { copier, reader, finder, images, is_there: AtomicBool::new(false) }
    }

    /// Looks at one image.
    pub(super) async fn look(&self, number: usize, job: &Job) -> Found {
        let mut found = Found::default();
        let outcome = |destination, digest: Option<&Digest>, tag, result| {
            let outcome = Outcome { job: number, destination, digest: digest.cloned(), tag, result };
            self.copier.progress.image_ended(&outcome);
            outcome
        };
        let fail = |error: &CopyError, digest: Option<&Digest>, wanted: Vec<(usize, Option<String>)>| -> Vec<Outcome> {
            wanted.into_iter().map(|(at, tag)| outcome(at, digest, tag, Err(error.clone()))).collect()
        };
        let everywhere = || job.destinations.iter().enumerate().map(|(at, to)| (at, to.tag.clone())).collect();
        if self.copier.stop.is_cancelled() {
            found.outcomes = fail(&CopyError::Stopped, None, everywhere());
            return found;
        }
        let (digest, held) = match self.tags(job).await {
            Ok(known) => known,
            Err(error) => {
                found.outcomes = fail(&error.into(), None, everywhere());
                return found;
            }
        };
        for (at, (to, held)) in job.destinations.iter().zip(held).enumerate() {
            let tag = self.tag_at(to, &digest);
            let is_tagged = held.map(|held| held.is_some_and(|held| held == digest));
            match is_tagged {
                Ok(true) if !self.copier.options.is_thorough => {
                    found.outcomes.push(outcome(at, Some(&digest), Some(tag), Ok(Done::Unchanged)));
                }
                Ok(is_tagged) => found.wanted.push((at, tag, is_tagged)),
                Err(error) => found.outcomes.push(outcome(at, Some(&digest), Some(tag), Err(error.into()))),
            }
        }
        if found.wanted.is_empty() {
            return found;
        }
        match self.content(job, digest.clone(), &mut found.warnings).await {
            Ok(content) => found.content = Some(Arc::new(content)),
            Err(error) => {
                let wanted = std::mem::take(&mut found.wanted);
                let wanted = wanted.into_iter().map(|(at, tag, _)| (at, Some(tag))).collect();
                found.outcomes.extend(fail(&error.into(), Some(&digest), wanted));
            }
        }
        found
    }

    /// What the image is at the sources, and what its tag names at each destination.
    ///
    /// Destinations are asked first: where none of them has the tag, the manifest is needed anyhow, and is read in one request. Where the
    /// last ones had theirs, both are asked at once: most of such a run is waiting.
    async fn tags(&self, job: &Job) -> Result<(Digest, Vec<Held>), RegistryError> {
        let is_known = matches!(job.reference, Reference::Digest(_));
        if is_known || job.destinations.iter().any(|to| to.tag.is_none()) {
            // An anchor's name has the digest in it.
            let digest = self.digest(job).await?;
            let held = self.held(job, Some(&digest)).await;
            return Ok((digest, held));
        }
        if self.is_there.load(Ordering::Relaxed) {
            let (digest, held) = tokio::join!(self.digest(job), self.held(job, None));
            return Ok((digest?, held));
        }
        let held = self.held(job, None).await;
        let is_there = held.iter().any(|held| matches!(held, Ok(Some(_))));
        let digest = if is_there {
            self.digest(job).await?
        } else {
            self.reader.manifest(&job.sources, &job.reference).await?.digest.clone()
        };
        Ok((digest, held))
    }

    /// What the tag names at each destination.
    async fn held(&self, job: &Job, digest: Option<&Digest>) -> Vec<Held> {
        let asked = job.destinations.iter().map(|to| async move {
            let tag = to.tag.clone().or_else(|| digest.map(|digest| self.tag_at(to, digest))).unwrap_or_default();
            match to.side.digest(&Reference::Tag(tag)).await {
                // Some registries answer so for repositories that are made by the first push.
                Err(error) if matches!(error.reason(), Reason::Unauthorized | Reason::Forbidden) => Ok(None),
                held => held,
            }
        });
        let held = futures::future::join_all(asked).await;
        self.is_there.store(held.iter().all(|held| matches!(held, Ok(Some(_)))), Ordering::Relaxed);
        held
    }

    fn tag_at(&self, to: &Destination, digest: &Digest) -> String {
        to.tag.clone().unwrap_or_else(|| self.copier.options.anchor.tag(digest))
    }

    /// What the reference names, at the first source that has it.
    async fn digest(&self, job: &Job) -> Result<Digest, RegistryError> {
        if let Reference::Digest(digest) = &job.reference {
            return Ok(digest.clone());
        }
        for side in &job.sources {
            if let Ok(Some(digest)) = side.digest(&job.reference).await {
                return Ok(digest);
            }
        }
        // For the error, which says why; or one of them has it after all.
        Ok(self.reader.manifest(&job.sources, &job.reference).await?.digest.clone())
    }

    async fn content(&self, job: &Job, digest: Digest, warnings: &mut Vec<String>) -> Result<Content, RegistryError> {
        let options = &self.copier.options;
        let reference = Reference::Digest(digest.clone());
        let image = self.reader.tree(&job.sources, &reference, &options.platforms, Role::Image).await?;
        let mut trees = Vec::new();
        if options.has_attachments {
            let mut failure = None;
            for side in &job.sources {
                let images = self.images.get(&side.key()).copied().unwrap_or(1);
                let search = Search { side, reader: &self.reader, images };
                match self.finder.find(search, &image).await {
                    Ok(found) => {
                        trees = found;
                        failure = None;
                        break;
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            // The image is worth more than nothing.
            warnings.extend(failure.map(|error| format!("signatures of {digest} are not copied: {error}")));
        }
        trees.push(image);
        Ok(Content { digest, trees })
    }
}
