//! What there is to copy and what the destinations hold already.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::holdings::{Holdings, Question};
use super::image::{Content, Image};
use super::look::{Found, Surveyor};
use super::plan::{Facts, Lack, Plan, Totals};
use super::side::{Side, SideKey};
use super::tree::Role;
use super::{Copier, Done, Job, Outcome};

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
    /// Blobs that destinations may hold: nobody asked.
    pub(super) unasked: HashSet<(usize, Digest)>,
}

impl Survey {
    /// How much there is to do.
    pub fn totals(&self) -> Totals {
        let unchanged = self.outcomes.iter().filter(|it| matches!(it.result, Ok(Done::Unchanged))).count();
        Totals { images: self.images.len(), unchanged, ..self.plan.totals() }
    }
}

impl Copier {
    /// Looks at sources and destinations. Writes nothing. A registry that is taken for empty is not asked for each blob: copying it
    /// asks, too.
    pub async fn survey(&self, jobs: Vec<Job>) -> Survey {
        let surveyor = Surveyor::new(self, &jobs);
        let surveyor = &surveyor;
        let all = jobs.len();
        let looks = stream::iter(jobs.iter().enumerate());
        let looks = looks.map(|(number, job)| async move { (number, surveyor.look(number, job).await) });
        // Sources and destinations are asked in turn, and no bytes move: each of them gets as many requests as a copy is to have.
        let mut looks = looks.buffer_unordered(self.options.concurrency.max(1).saturating_mul(2));
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
        let (near, questions) = questions(&sides, &images, &sources);
        let mut held = Holdings { found: near.found, ..Holdings::default() };
        held.ask(&sides.all, questions, self.options.concurrency).await;
        let mut facts = Facts { sides: sides.keys.clone(), lacks: Vec::new(), holds: near.holds };
        facts.holds.extend(held.found.iter().map(|(side, digest)| (digest.clone(), *side)));
        for image in &images {
            let lacking =
                image.content.blobs().filter(|blob| held.lacking.contains(&(image.side, blob.digest.clone())));
            facts.lacks.extend(lacking.map(|blob| Lack { blob: blob.clone(), side: image.side }));
        }
        let plan = Plan::new(&facts);
        let all = &sides.all;
        let candidates = |numbers: Vec<usize>| numbers.into_iter().filter_map(|at| all.get(at).cloned()).collect();
        let sources = sources.into_iter().map(|(digest, numbers)| (digest, candidates(numbers))).collect();
        let Holdings { found, lacking, unasked } = held;
        let sides = sides.all.clone();
        let mut survey = Survey { plan, outcomes, warnings, sides, images, sources, found, unasked };
        self.drop_whole(&mut survey, &lacking).await;
        self.progress.planned(&survey.totals());
        survey
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

/// Whether a destination has every manifest, and lists those that refer to others.
async fn holds_manifests(side: &Side, content: &Content) -> bool {
    for tree in &content.trees {
        let (Role::Referrer(subject), Some(root)) = (&tree.role, tree.root()) else { continue };
        let listed = side.referrers(subject).await;
        if !listed.is_ok_and(|listed| listed.manifests.iter().any(|it| it.digest == root.digest)) {
            return false;
        }
    }
    for manifest in content.trees.iter().flat_map(|tree| &tree.manifests) {
        let held = side.digest(&Reference::Digest(manifest.digest.clone())).await;
        if !matches!(held, Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// What is known without a question.
#[derive(Default)]
struct Near {
    /// Blobs that sources hold which are in the same registry as a destination.
    holds: BTreeSet<(Digest, usize)>,
    found: HashSet<(usize, Digest)>,
}

/// What destinations are asked, each once for each blob.
fn questions<'a>(
    sides: &Sides,
    images: &'a [Image],
    sources: &HashMap<Digest, Vec<usize>>,
) -> (Near, Vec<Question<'a>>) {
    let store = |side: usize| sides.keys.get(side).map(|key| &key.store);
    let mut near = Near::default();
    let mut numbers: HashMap<(usize, &Digest), usize> = HashMap::new();
    let mut questions: Vec<Question<'a>> = Vec::new();
    for image in images {
        for blob in image.content.blobs() {
            // An image whose tag is there is whole only if everything else is.
            let is_exact = image.is_tagged;
            if let Some(known) = numbers.get(&(image.side, &blob.digest)) {
                if let Some(question) = questions.get_mut(*known) {
                    question.is_exact |= is_exact;
                }
                continue;
            }
            let from = sources.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
            if from.contains(&image.side) {
                // From one tag to another in the same repository.
                near.found.insert((image.side, blob.digest.clone()));
                continue;
            }
            let here = from.iter().filter(|at| store(**at).is_some() && store(**at) == store(image.side));
            near.holds.extend(here.map(|at| (blob.digest.clone(), *at)));
            numbers.insert((image.side, &blob.digest), questions.len());
            questions.push(Question { blob, side: image.side, is_exact });
        }
    }
    (near, questions)
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
