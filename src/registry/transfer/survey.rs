//! What there is to copy and what the destinations hold already.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::super::error::{Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;
use super::attachments::{Finder, Search};
use super::plan::{Facts, Lack, Plan, Totals};
use super::side::{Side, SideKey};
use super::tree::{Reader, Role, Tree};
use super::{Copier, CopyError, Destination, Done, Job, Outcome};

/// What there is to do, and what is done already.
#[derive(Debug)]
pub struct Survey {
    /// What moves.
    pub plan: Plan,
    /// Images that are there, or of which nothing is known.
    pub outcomes: Vec<Outcome>,
    /// What was left out.
    pub warnings: Vec<String>,
    pub(super) sides: Vec<Side>,
    pub(super) images: Vec<Image>,
    /// Who may have a blob.
    pub(super) sources: HashMap<Digest, Arc<[Side]>>,
    /// Blobs that were found at destinations.
    pub(super) found: HashSet<(usize, Digest)>,
}

/// An image that is not yet at one destination.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) job: usize,
    pub(super) destination: usize,
    /// Number of its destination.
    pub(super) side: usize,
    pub(super) tag: String,
    /// Whether the tag names it already.
    is_tagged: bool,
    pub(super) content: Arc<Content>,
}

/// An image with its attachments.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) digest: Digest,
    /// Attachments first: who sees the image finds its signature.
    pub(super) trees: Vec<Tree>,
}

impl Content {
    /// Its blobs, each once.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        self.trees.iter().flat_map(Tree::blobs).filter(move |blob| seen.insert(&blob.digest))
    }
}

impl Survey {
    /// How much there is to do.
    pub fn totals(&self) -> Totals {
        let unchanged = self.outcomes.iter().filter(|it| matches!(it.result, Ok(Done::Unchanged))).count();
        Totals { images: self.images.len(), unchanged, ..self.plan.totals() }
    }
}

/// What one job comes to.
#[derive(Default)]
struct Found {
    outcomes: Vec<Outcome>,
    /// Destinations that lack it, their tags, and whether those name it.
    wanted: Vec<(usize, String, bool)>,
    content: Option<Arc<Content>>,
    warnings: Vec<String>,
}

struct Surveyor<'a> {
    copier: &'a Copier,
    reader: Reader,
    finder: Finder,
    /// How many images come from a repository.
    images: HashMap<SideKey, usize>,
}

impl Copier {
    /// Looks at sources and destinations. Writes nothing.
    pub async fn survey(&self, jobs: Vec<Job>) -> Survey {
        let mut images = HashMap::new();
        for side in jobs.iter().filter_map(|job| job.sources.first()) {
            *images.entry(side.key()).or_default() += 1;
        }
        let (reader, finder) = (Reader::default(), Finder::default());
        let surveyor = Surveyor { copier: self, reader, finder, images };
        let surveyor = &surveyor;
        let all = jobs.len();
        let looks = stream::iter(jobs.iter().enumerate());
        let looks = looks.map(|(number, job)| async move { (number, surveyor.look(number, job).await) });
        let mut looks = looks.buffer_unordered(self.options.concurrency.max(1));
        let mut found: Vec<(usize, Found)> = Vec::new();
        while let Some(one) = looks.next().await {
            found.push(one);
            self.progress.surveyed(found.len(), all);
        }
        drop(looks);
        found.sort_by_key(|(number, _)| *number);
        self.difference(&jobs, found).await
    }

    /// What the destinations lack.
    async fn difference(&self, jobs: &[Job], found: Vec<(usize, Found)>) -> Survey {
        let mut sides = Sides::default();
        let (mut outcomes, mut warnings, mut images) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (number, one) in found {
            outcomes.extend(one.outcomes);
            warnings.extend(one.warnings);
            let (Some(job), Some(content)) = (jobs.get(number), one.content) else { continue };
            let from: Vec<usize> = job.sources.iter().map(|side| sides.number(side)).collect();
            for blob in content.blobs() {
                let known = sources.entry(blob.digest.clone()).or_default();
                known.extend(from.iter().filter(|side| !known.contains(side)).copied().collect::<Vec<_>>());
            }
            for (destination, tag, is_tagged) in one.wanted {
                let Some(to) = job.destinations.get(destination) else { continue };
                let side = sides.number(&to.side);
                images.push(Image { job: number, destination, side, tag, is_tagged, content: content.clone() });
            }
        }
        let held = self.held(&sides.all, &images, &sources).await;
        let mut facts = Facts { sides: sides.keys.clone(), lacks: Vec::new(), holds: held.holds };
        for image in &images {
            let lacking =
                image.content.blobs().filter(|blob| held.lacking.contains(&(image.side, blob.digest.clone())));
            facts.lacks.extend(lacking.map(|blob| Lack { blob: blob.clone(), side: image.side }));
        }
        let plan = Plan::new(&facts);
        let all = &sides.all;
        let candidates = |numbers: Vec<usize>| numbers.into_iter().filter_map(|at| all.get(at).cloned()).collect();
        let sources = sources.into_iter().map(|(digest, numbers)| (digest, candidates(numbers))).collect();
        let mut survey =
            Survey { plan, outcomes, warnings, sides: sides.all.clone(), images, sources, found: held.found };
        self.drop_whole(&mut survey, &held.lacking).await;
        self.progress.planned(&survey.totals());
        survey
    }

    /// Which blobs are where. Each is asked for once at each destination.
    async fn held(&self, sides: &[Side], images: &[Image], sources: &HashMap<Digest, Vec<usize>>) -> Held {
        let mut asked: HashSet<(usize, &Digest)> = HashSet::new();
        let mut held = Held::default();
        let mut questions = Vec::new();
        for image in images {
            for blob in image.content.blobs().filter(|blob| asked.insert((image.side, &blob.digest))) {
                let from = sources.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
                if from.contains(&image.side) {
                    // From one tag to another in the same repository.
                    held.found.insert((image.side, blob.digest.clone()));
                    continue;
                }
                let here = sides.get(image.side).map(Side::key);
                let is_near = |at: &&usize| {
                    let there = sides.get(**at).map(Side::key);
                    matches!((&here, &there), (Some(here), Some(there)) if here.store == there.store)
                };
                held.holds.extend(from.iter().filter(is_near).map(|at| (blob.digest.clone(), *at)));
                questions.push((image.side, blob));
            }
        }
        let answers = stream::iter(questions).map(|(side, blob)| async move {
            let answer = match sides.get(side) {
                Some(to) => to.has_blob(&blob.digest, blob.size).await,
                None => Ok(false),
            };
            // Nobody can say: sending it shows whether it is taken.
            (side, blob.digest.clone(), answer.unwrap_or(false))
        });
        let mut answers = answers.buffer_unordered(self.options.concurrency.max(1));
        while let Some((side, digest, is_there)) = answers.next().await {
            if is_there {
                held.holds.insert((digest.clone(), side));
                held.found.insert((side, digest));
            } else {
                held.lacking.insert((side, digest));
            }
        }
        held
    }

    /// Images that are tagged and complete are there.
    async fn drop_whole(&self, survey: &mut Survey, lacking: &HashSet<(usize, Digest)>) {
        let images = std::mem::take(&mut survey.images);
        let sides = &survey.sides;
        let looks = stream::iter(images).map(|image| async move {
            let has_blobs = image.content.blobs().all(|blob| !lacking.contains(&(image.side, blob.digest.clone())));
            let is_whole = image.is_tagged
                && has_blobs
                && match sides.get(image.side) {
                    Some(side) => holds_manifests(side, &image.content).await,
                    None => false,
                };
            (image, is_whole)
        });
        let looked: Vec<(Image, bool)> = looks.buffered(self.options.concurrency.max(1)).collect().await;
        let mut left = Vec::new();
        for (image, is_whole) in looked {
            if is_whole {
                let outcome = Outcome {
                    job: image.job,
                    destination: image.destination,
                    digest: Some(image.content.digest.clone()),
                    tag: Some(image.tag),
                    result: Ok(Done::Unchanged),
                };
                self.progress.image_ended(&outcome);
                survey.outcomes.push(outcome);
            } else {
                left.push(image);
            }
        }
        survey.images = left;
    }
}

/// Whether a destination has every manifest.
async fn holds_manifests(side: &Side, content: &Content) -> bool {
    for manifest in content.trees.iter().flat_map(|tree| &tree.manifests) {
        let held = side.digest(&Reference::Digest(manifest.digest.clone())).await;
        if !matches!(held, Ok(Some(_))) {
            return false;
        }
    }
    true
}

#[derive(Default)]
struct Held {
    holds: BTreeSet<(Digest, usize)>,
    found: HashSet<(usize, Digest)>,
    lacking: HashSet<(usize, Digest)>,
}

/// Sides by number.
#[derive(Default)]
struct Sides {
    all: Vec<Side>,
    keys: Vec<SideKey>,
    numbers: HashMap<SideKey, usize>,
}

impl Sides {
    fn number(&mut self, side: &Side) -> usize {
        let key = side.key();
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.all.len();
        self.all.push(side.clone());
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        number
    }
}

impl Surveyor<'_> {
    async fn look(&self, number: usize, job: &Job) -> Found {
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
        let digest = match self.digest(job).await {
            Ok(digest) => digest,
            Err(error) => {
                found.outcomes = fail(&error.into(), None, everywhere());
                return found;
            }
        };
        for (at, to) in job.destinations.iter().enumerate() {
            let tag = to.tag.clone().unwrap_or_else(|| self.copier.options.anchor.tag(&digest));
            match self.lacks(to, &tag, &digest).await {
                Ok(None) => found.outcomes.push(outcome(at, Some(&digest), Some(tag), Ok(Done::Unchanged))),
                Ok(Some(is_tagged)) => found.wanted.push((at, tag, is_tagged)),
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

    /// Whether there is something to do at a destination; then whether its tag names the image already.
    async fn lacks(&self, to: &Destination, tag: &str, digest: &Digest) -> Result<Option<bool>, RegistryError> {
        match to.side.digest(&Reference::Tag(tag.to_owned())).await {
            Ok(held) => {
                let is_tagged = held.is_some_and(|held| held == *digest);
                Ok((!is_tagged || self.copier.options.is_thorough).then_some(is_tagged))
            }
            // Some registries answer so for repositories that are made by the first push.
            Err(error) if matches!(error.reason(), Reason::Unauthorized | Reason::Forbidden) => Ok(Some(false)),
            Err(error) => Err(error),
        }
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
