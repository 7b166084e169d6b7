//! Asks one place whether it holds an image, as closely as is wanted. What several images share is asked once.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, stream};
use tokio::sync::OnceCell;

use super::super::client::Client;
use super::super::content_key::ContentKey;
use super::super::distribution::Target;
use super::super::error::{Cause, Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, MAX_DEPTH, Manifest, Platform};
use super::matrix::{Demand, Finding, Findings, Level, Question, open};

/// Manifests of one image; more are a hostile index.
const MAX_MANIFESTS: usize = 1_000;
/// Requests of one image that wait for their turn, and images that are looked at together. How many requests are under way is
/// the pace's business.
const AT_ONCE: usize = 16;
const TOGETHER: usize = 64;
const MISSING: &str = "is missing";

/// What is known about a part of an image.
#[derive(Clone, Debug)]
enum Part<T> {
    Held(T),
    /// What is wrong with it, after its name: `is missing`.
    Lacking(String),
    Unknown(Reason, String),
}

type Slot<T> = Arc<OnceCell<Part<T>>>;
type Slots<T> = Mutex<HashMap<ContentKey, Slot<T>>>;

/// Asks, and remembers for as long as it lives: for one round of questions.
pub struct Checker {
    client: Client,
    manifests: Slots<Arc<Manifest>>,
    blobs: Slots<()>,
    contents: Slots<()>,
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// Asks with this client, as a probe: a registry that throttles is not asked again.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.as_probe(),
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            contents: Mutex::default(),
        }
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
        if level > Level::L0 {
            return self.parts(target, &digest, level).await;
        }
        match self.client.head_manifest(target, &Reference::Digest(digest)).await {
            Ok(_) => Finding::Held,
            Err(error) => of_manifest(&error),
        }
    }

    async fn parts(&self, target: Target<'_>, top: &Digest, level: Level) -> Finding {
        let mut lacks = Vec::new();
        let mut unknown = None;
        let mut seen = BTreeSet::from([top.clone()]);
        let mut wanted = vec![(top.clone(), String::new())];
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for (digest, name) in std::mem::take(&mut wanted) {
                match self.manifest(target, &digest).await {
                    Part::Held(manifest) => {
                        let blobs = self.all_blobs(target, &manifest, &name, level).await;
                        for part in blobs {
                            sort_out(part, &mut lacks, &mut unknown);
                        }
                        let children = manifest.children.iter().filter(|child| !child.is_attestation);
                        next.extend(children.filter(|child| seen.insert(child.digest.clone())).map(named));
                    }
                    Part::Lacking(what) if digest == *top && what == MISSING => return Finding::Absent,
                    Part::Lacking(what) => lacks.push(format!("manifest {digest}{name} {what}")),
                    Part::Unknown(reason, message) => {
                        unknown.get_or_insert((reason, message));
                    }
                }
            }
            if next.is_empty() {
                return finding(lacks, unknown);
            }
            if seen.len() > MAX_MANIFESTS {
                return Finding::Unknown(Reason::Invalid, format!("{top} has more than {MAX_MANIFESTS} manifests"));
            }
            wanted = next;
        }
        Finding::Unknown(Reason::Invalid, format!("{top}: indexes are nested deeper than {MAX_DEPTH}"))
    }

    async fn manifest(&self, target: Target<'_>, digest: &Digest) -> Part<Arc<Manifest>> {
        let slot = slot(&self.manifests, target, digest);
        let read = async || match self.client.manifest(target, &Reference::Digest(digest.clone())).await {
            Ok(fetched) => Part::Held(Arc::new(fetched.manifest)),
            Err(error) => of_part(&error),
        };
        slot.get_or_init(read).await.clone()
    }

    /// Each blob of a manifest, named as a person looks for it.
    async fn all_blobs(&self, target: Target<'_>, manifest: &Manifest, name: &str, level: Level) -> Vec<Part<()>> {
        let mut seen = BTreeSet::new();
        let blobs: Vec<(Digest, u64)> = manifest
            .blobs()
            .filter(|blob| seen.insert(&blob.digest))
            .map(|blob| (blob.digest.clone(), blob.size))
            .collect();
        let ask = |(digest, size): (Digest, u64)| async move {
            let part = self.blob(target, &digest, size, level).await;
            match part {
                Part::Lacking(what) => Part::Lacking(format!("blob {digest}{name} {what}")),
                part => part,
            }
        };
        stream::iter(blobs).map(ask).buffered(AT_ONCE).collect().await
    }

    async fn blob(&self, target: Target<'_>, digest: &Digest, size: u64, level: Level) -> Part<()> {
        let slots = if level == Level::L2 { &self.contents } else { &self.blobs };
        let slot = slot(slots, target, digest);
        let ask = async || {
            let asked = match level {
                Level::L2 => self.client.check_blob(target, digest, size).await,
                _ => self.client.head_blob(target, digest).await,
            };
            asked.map_or_else(|error| of_part(&error), Part::Held)
        };
        slot.get_or_init(ask).await.clone()
    }
}

/// Asks question after question until none is open. `ask` finds client, credential and repository of a question.
pub async fn prove(
    demands: &[Demand],
    ask: impl AsyncFn(&Question) -> Finding,
    on_progress: impl Fn(usize),
) -> Findings {
    let mut findings = Findings::new();
    loop {
        let questions: Vec<Question> = open(demands, &findings).into_iter().cloned().collect();
        if questions.is_empty() {
            return findings;
        }
        let one = |question: Question| async {
            let finding = ask(&question).await;
            (question, finding)
        };
        let mut answers = stream::iter(questions).map(one).buffer_unordered(TOGETHER);
        while let Some((question, finding)) = answers.next().await {
            findings.insert(question, finding);
            on_progress(findings.len());
        }
    }
}

fn slot<T>(slots: &Slots<T>, target: Target<'_>, digest: &Digest) -> Slot<T> {
    let key = ContentKey::new(target, digest);
    slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

fn named(child: &Descriptor) -> (Digest, String) {
    let platform = child.platform.as_ref().filter(|platform| !platform.os.is_empty()).map(Platform::name);
    (child.digest.clone(), platform.map(|platform| format!(" ({platform})")).unwrap_or_default())
}

fn sort_out(part: Part<()>, lacks: &mut Vec<String>, unknown: &mut Option<(Reason, String)>) {
    match part {
        Part::Held(()) => {}
        Part::Lacking(what) => lacks.push(what),
        Part::Unknown(reason, message) => {
            unknown.get_or_insert((reason, message));
        }
    }
}

/// A part that lacks decides, whatever else is not known.
fn finding(lacks: Vec<String>, unknown: Option<(Reason, String)>) -> Finding {
    match unknown {
        _ if !lacks.is_empty() => Finding::Incomplete(lacks),
        Some((reason, message)) => Finding::Unknown(reason, message),
        None => Finding::Held,
    }
}

/// What a failed request for the manifest itself means: only `not there` sends a consumer on to the next place.
fn of_manifest(error: &RegistryError) -> Finding {
    match of_part::<()>(error) {
        Part::Lacking(_) if error.reason() == Reason::NotFound => Finding::Absent,
        Part::Lacking(what) => Finding::Incomplete(vec![format!("the manifest {what}")]),
        Part::Held(()) => Finding::Held,
        Part::Unknown(reason, message) => Finding::Unknown(reason, message),
    }
}

fn of_part<T>(error: &RegistryError) -> Part<T> {
    match error.reason() {
        Reason::NotFound => Part::Lacking(MISSING.to_owned()),
        Reason::Invalid if is_damaged(error) => Part::Lacking(format!("is damaged: {}", error.cause)),
        reason => Part::Unknown(reason, error.to_string()),
    }
}

/// Whether the bytes are wrong; a status such as 400 says nothing about them.
fn is_damaged(error: &RegistryError) -> bool {
    matches!(error.cause, Cause::Digest { .. } | Cause::Manifest(_))
}

#[cfg(test)]
mod tests;
