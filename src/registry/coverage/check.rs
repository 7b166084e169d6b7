//! Asks one place whether it holds an image, as closely as is wanted. What several images share is asked once.

mod signatures;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::super::client::Client;
use super::super::content_key::ContentKey;
use super::super::distribution::Target;
use super::super::error::{Cause, Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, MAX_DEPTH, Manifest};
use super::lack::{Lack, Owner, Part};
use super::matrix::{Demand, Finding, Findings, Level, Question, open};
use super::sample::Sample;

/// Manifests of one image; more are a hostile index.
const MAX_MANIFESTS: usize = 1_000;
/// Blobs of one manifest. Images in use have some hundred layers at most.
const MAX_BLOBS: usize = 2_000;
/// Parts of one image that are named.
const MAX_LACKS: usize = 1_000;
/// Requests of one image that wait for their turn, and images that are looked at together. How many requests are under way is
/// the pace's business.
const AT_ONCE: usize = 16;
const TOGETHER: usize = 64;
const MISSING: &str = "is missing";

/// What is known about a part of an image.
#[derive(Clone, Debug)]
enum State<T> {
    Held(T),
    /// What is wrong with it.
    Lacking(Lack),
    Unknown(Reason, String),
}

type Slot<T> = Arc<OnceCell<State<T>>>;
type Slots<T> = Mutex<HashMap<ContentKey, Slot<T>>>;

/// Asks, and remembers for as long as it lives: for one round of questions.
pub struct Checker {
    client: Client,
    manifests: Slots<Arc<Manifest>>,
    blobs: Slots<()>,
    contents: Slots<()>,
    sample: Sample,
    /// Blobs whose content was read.
    hashed: AtomicUsize,
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// Asks with this client, as a probe: a registry that throttles is not asked again.
    /// L2 reads every blob.
    pub fn new(client: &Client) -> Self {
        Self::sampling(client, Sample::All)
    }

    /// The same, with which blobs L2 reads.
    pub fn sampling(client: &Client, sample: Sample) -> Self {
        Self {
            client: client.as_probe(),
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            contents: Mutex::default(),
            sample,
            hashed: AtomicUsize::new(0),
        }
    }

    /// How many blobs were read whole.
    pub fn hashed(&self) -> usize {
        self.hashed.load(Ordering::Relaxed)
    }

    /// What a place holds of an image.
    pub async fn check(&self, target: Target<'_>, reference: &Reference, level: Level) -> Finding {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            // Caches answer for a tag whose manifest is gone: what counts is the digest.
            Reference::Tag(_) => match self.client.head_manifest(target, reference).await {
                Ok(head) => head.digest,
                Err(error) => return of_manifest(&error),
            },
        };
        match level {
            Level::L0 => match self.client.head_manifest(target, &Reference::Digest(digest)).await {
                Ok(_) => Finding::Held,
                Err(error) => of_manifest(&error),
            },
            Level::L1 | Level::L2 | Level::LS => self.walk(target, &digest, level).await,
        }
    }

    /// Looks at each manifest of an image, level by level; attestations are not counted.
    async fn walk(&self, target: Target<'_>, top: &Digest, level: Level) -> Finding {
        let mut found = Found::default();
        let mut seen = BTreeSet::from([top.clone()]);
        let mut wanted = vec![(top.clone(), Owner::default())];
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for (digest, owner) in std::mem::take(&mut wanted) {
                match self.manifest(target, &digest).await {
                    State::Held(manifest) => {
                        let visited = Visited { digest, owner, manifest };
                        let states = match level {
                            Level::LS => self.signature_of(target, &visited).await,
                            _ => self.blobs_of(target, &visited, level).await,
                        };
                        for state in states {
                            found.add(state);
                        }
                        let children = visited.manifest.children.iter().filter(|child| !child.is_attestation);
                        let unseen = children.filter(|child| seen.insert(child.digest.clone()));
                        next.extend(unseen.map(|child| (child.digest.clone(), Owner::child(child))));
                    }
                    State::Lacking(lack) if digest == *top && lack.message == MISSING => return Finding::Absent,
                    State::Lacking(lack) => {
                        found.add(State::Lacking(Lack::of(Part::Manifest, &owner, &digest, lack.message)));
                    }
                    State::Unknown(reason, message) => found.add(State::Unknown(reason, message)),
                }
            }
            if next.is_empty() {
                return found.finding();
            }
            if seen.len() > MAX_MANIFESTS {
                return Finding::Unknown(Reason::Invalid, format!("{top} has more than {MAX_MANIFESTS} manifests"));
            }
            wanted = next;
        }
        Finding::Unknown(Reason::Invalid, format!("{top}: indexes are nested deeper than {MAX_DEPTH}"))
    }

    async fn manifest(&self, target: Target<'_>, digest: &Digest) -> State<Arc<Manifest>> {
        let slot = slot(&self.manifests, target, digest);
        let read = async || match self.client.manifest(target, &Reference::Digest(digest.clone())).await {
            Ok(fetched) => State::Held(Arc::new(fetched.manifest)),
            Err(error) => of_part(&error),
        };
        slot.get_or_init(read).await.clone()
    }

    /// Each blob of a manifest, named as a person looks for it.
    async fn blobs_of(&self, target: Target<'_>, visited: &Visited, level: Level) -> Vec<State<()>> {
        let mut seen = BTreeSet::new();
        let config = visited.manifest.config.as_ref().map(|config| &config.digest);
        let level_of = |blob: &Descriptor| match level {
            Level::L2 if Some(&blob.digest) == config || self.sample.takes(&blob.digest) => Level::L2,
            _ => Level::L1,
        };
        let blobs: Vec<(Digest, u64, Level)> = visited
            .manifest
            .blobs()
            .filter(|blob| seen.insert(&blob.digest))
            .map(|blob| (blob.digest.clone(), blob.size, level_of(blob)))
            .collect();
        if blobs.len() > MAX_BLOBS {
            let message = format!("{} has more than {MAX_BLOBS} blobs", visited.digest);
            return vec![State::Unknown(Reason::Invalid, message)];
        }
        let ask = |(digest, size, level): (Digest, u64, Level)| async move {
            match self.blob(target, &digest, size, level).await {
                State::Lacking(lack) => State::Lacking(Lack::of(Part::Blob, &visited.owner, &digest, lack.message)),
                state => state,
            }
        };
        stream::iter(blobs).map(ask).buffered(AT_ONCE).collect().await
    }

    async fn blob(&self, target: Target<'_>, digest: &Digest, size: u64, level: Level) -> State<()> {
        let slots = if level == Level::L2 { &self.contents } else { &self.blobs };
        let slot = slot(slots, target, digest);
        let ask = async || {
            let asked = match level {
                Level::L2 => {
                    self.hashed.fetch_add(1, Ordering::Relaxed);
                    self.client.check_blob(target, digest, size).await
                }
                _ => self.client.head_blob(target, digest, size).await,
            };
            asked.map_or_else(|error| of_part(&error), State::Held)
        };
        slot.get_or_init(ask).await.clone()
    }
}

/// A manifest of an image, and whose it is.
struct Visited {
    digest: Digest,
    owner: Owner,
    manifest: Arc<Manifest>,
}

/// What came out for the parts of an image.
#[derive(Default)]
struct Found {
    lacks: Vec<Lack>,
    unknown: Option<(Reason, String)>,
}

impl Found {
    fn add(&mut self, state: State<()>) {
        match state {
            State::Held(()) => {}
            State::Lacking(_) if self.lacks.len() >= MAX_LACKS => {}
            State::Lacking(lack) => self.lacks.push(lack),
            State::Unknown(reason, message) => {
                self.unknown.get_or_insert((reason, message));
            }
        }
    }

    /// A part that lacks decides, whatever else is not known.
    fn finding(self) -> Finding {
        match self.unknown {
            _ if !self.lacks.is_empty() => Finding::Incomplete(self.lacks),
            Some((reason, message)) => Finding::Unknown(reason, message),
            None => Finding::Held,
        }
    }
}

/// How far a round of questions is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Places that answered.
    pub answered: usize,
    /// Places that have to be asked, as far as is known now.
    pub total: usize,
}

/// Somebody who answers questions: finds client, credential and repository of each.
pub trait Ask {
    /// Answers one.
    fn ask<'a>(&'a self, question: &'a Question) -> LocalBoxFuture<'a, Finding>;
}

/// Asks question after question until none is open.
pub async fn prove(demands: &[Demand], asker: &impl Ask, on_progress: impl Fn(Progress)) -> Findings {
    let mut findings = Findings::new();
    loop {
        let questions = open(demands, &findings);
        if questions.is_empty() {
            return findings;
        }
        let total = findings.len() + questions.len();
        let mut waiting = questions.iter();
        let mut answers = FuturesUnordered::new();
        loop {
            while answers.len() < TOGETHER
                && let Some(question) = waiting.next()
            {
                answers.push(answer(asker, question));
            }
            let Some((question, finding)) = answers.next().await else { break };
            findings.insert(question.clone(), finding);
            on_progress(Progress { answered: findings.len(), total });
        }
    }
}

async fn answer<'a>(asker: &'a impl Ask, question: &'a Question) -> (&'a Question, Finding) {
    (question, asker.ask(question).await)
}

fn slot<T>(slots: &Slots<T>, target: Target<'_>, digest: &Digest) -> Slot<T> {
    let key = ContentKey::new(target, digest);
    slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

/// What a failed request for the manifest itself means: only `not there` sends a consumer on to the next place.
fn of_manifest(error: &RegistryError) -> Finding {
    match of_part::<()>(error) {
        State::Lacking(_) if error.reason() == Reason::NotFound => Finding::Absent,
        State::Lacking(lack) => Finding::Incomplete(vec![Lack { part: Part::Manifest, ..lack }]),
        State::Held(()) => Finding::Held,
        State::Unknown(reason, message) => Finding::Unknown(reason, message),
    }
}

/// What a failed request for a part means. Whoever asked puts in which part it is.
fn of_part<T>(error: &RegistryError) -> State<T> {
    match error.reason() {
        Reason::NotFound => State::Lacking(Lack::pull(MISSING)),
        Reason::Invalid if is_damaged(error) => State::Lacking(Lack::pull(format!("is damaged: {}", error.cause))),
        reason => State::Unknown(reason, format!("{error}{}", until(error))),
    }
}

/// When a registry that was asked too often wants to be asked again.
fn until(error: &RegistryError) -> String {
    let Cause::Refused(refusal) = &error.cause else { return String::new() };
    let wait = refusal.retry_after.filter(|_| error.cause.is_throttling());
    let until = wait.and_then(|wait| Timestamp::now().checked_add(wait).ok());
    until.map(|until| format!("; throttled until {until:.0}")).unwrap_or_default()
}

/// Whether the bytes are wrong; a status such as 400 says nothing about them.
fn is_damaged(error: &RegistryError) -> bool {
    matches!(error.cause, Cause::Digest { .. } | Cause::Size { .. } | Cause::Manifest(_))
}

#[cfg(test)]
mod tests;
