//! Which blobs destinations hold. They are asked blob by blob, but for a registry that turns out to be empty: there the upload of
//! each blob begins with the question.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::stream::{self, StreamExt as _};

use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;
use super::side::Side;

/// A registry is asked for all blobs unless there are more than this.
const MANY: usize = 32;
/// How many blobs a registry is asked for first, and in how many repositories each: one that holds none of those that most
/// images share is taken for empty. If it is not, blobs that it holds cost as many requests as before, and no bytes where mounts
/// work.
const SAMPLE: usize = 8;
const SAMPLED_REPOSITORIES: usize = 2;

/// Whether a blob is at a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) blob: &'a Descriptor,
    /// The destination.
    pub(super) side: usize,
    /// Whether only an answer of the registry will do.
    pub(super) is_exact: bool,
}

/// Which blobs are where.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) found: HashSet<(usize, Digest)>,
    /// What is to be written, also where nobody asked.
    pub(super) lacking: HashSet<(usize, Digest)>,
    /// What nobody asked for.
    pub(super) unasked: HashSet<(usize, Digest)>,
}

impl Holdings {
    /// Asks, so many questions at once.
    pub(super) async fn ask(&mut self, sides: &[Side], questions: Vec<Question<'_>>, at_once: usize) {
        let mut stores: BTreeMap<String, Vec<Question<'_>>> = BTreeMap::new();
        for question in questions {
            let store = sides.get(question.side).map(|side| side.key().store).unwrap_or_default();
            stores.entry(store).or_default().push(question);
        }
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for questions in stores.into_values() {
            let (exact, others): (Vec<_>, Vec<_>) = questions.into_iter().partition(|question| question.is_exact);
            first.extend(exact);
            if others.len() <= MANY {
                first.extend(others);
                continue;
            }
            let (sample, rest) = sampled(others);
            first.extend(sample.iter().copied());
            later.push((sample, rest));
        }
        self.take(sides, first, at_once).await;
        let mut more = Vec::new();
        for (sample, rest) in later {
            if sample.iter().all(|it| self.is_absent(it)) {
                let keys = rest.iter().map(|it| (it.side, it.blob.digest.clone()));
                self.unasked.extend(keys.clone());
                self.lacking.extend(keys);
            } else {
                more.extend(rest);
            }
        }
        self.take(sides, more, at_once).await;
    }

    async fn take(&mut self, sides: &[Side], questions: Vec<Question<'_>>, at_once: usize) {
        let answers = stream::iter(questions).map(|Question { blob, side, .. }| async move {
            let answer = match sides.get(side) {
                Some(to) => to.has_blob(&blob.digest, blob.size).await,
                None => Ok(false),
            };
            // Nobody can say: sending it shows whether it is taken.
            (side, blob.digest.clone(), answer.unwrap_or(false))
        });
        let mut answers = answers.buffer_unordered(at_once.max(1));
        while let Some((side, digest, is_there)) = answers.next().await {
            if is_there {
                self.found.insert((side, digest))
            } else {
                self.lacking.insert((side, digest))
            };
        }
    }

    fn is_absent(&self, question: &Question<'_>) -> bool {
        self.lacking.contains(&(question.side, question.blob.digest.clone()))
    }
}

/// The questions that tell most, and the others: for the blobs that most images share, and of those for the largest.
fn sampled(questions: Vec<Question<'_>>) -> (Vec<Question<'_>>, Vec<Question<'_>>) {
    let mut blobs: BTreeMap<&Digest, Vec<Question<'_>>> = BTreeMap::new();
    for question in &questions {
        blobs.entry(&question.blob.digest).or_default().push(*question);
    }
    let mut blobs: Vec<Vec<Question<'_>>> = blobs.into_values().collect();
    blobs.sort_by_key(|all| std::cmp::Reverse((all.len(), all.first().map_or(0, |it| it.blob.size))));
    let mut sample = Vec::new();
    for all in blobs {
        // Far apart: images of one origin lie together.
        let spread = all.iter().step_by(all.len().div_ceil(SAMPLED_REPOSITORIES).max(1));
        sample.extend(spread.take(SAMPLE - sample.len()).copied());
        if sample.len() == SAMPLE {
            break;
        }
    }
    let chosen: BTreeSet<(usize, &Digest)> = sample.iter().map(|it| (it.side, &it.blob.digest)).collect();
    let rest = questions.into_iter().filter(|it| !chosen.contains(&(it.side, &it.blob.digest))).collect();
    (sample, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::wire::digest::Algorithm;

    fn blob(name: &str, size: u64) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(Algorithm::Sha256, name.as_bytes()),
            size,
            is_foreign: false,
            platform: None,
            is_attestation: false,
            artifact_type: None,
        }
    }

    #[test]
    fn a_sample_is_of_what_most_images_share_in_repositories_far_apart() {
        let shared = [blob("base", 10), blob("runtime", 90)];
        let own: Vec<Descriptor> = (0..40).map(|side| blob(&format!("own {side}"), 100 + side)).collect();
        let mut questions = Vec::new();
        for (side, own) in own.iter().enumerate() {
            let all = shared.iter().chain([own]);
            questions.extend(all.map(|blob| Question { blob, side, is_exact: false }));
        }
        let (sample, rest) = sampled(questions.clone());
        let asked: Vec<(usize, u64)> = sample.iter().map(|it| (it.side, it.blob.size)).collect();
        assert_eq!(asked, [(0, 90), (20, 90), (0, 10), (20, 10), (39, 139), (38, 138), (37, 137), (36, 136)]);
        assert_eq!(rest.len(), questions.len() - SAMPLE);
    }

    #[test]
    fn a_sample_of_few_blobs_is_all_of_them() {
        let own: Vec<Descriptor> = (0..3).map(|side| blob(&format!("own {side}"), side)).collect();
        let questions = own.iter().enumerate().map(|(side, blob)| Question { blob, side, is_exact: false }).collect();
        let (sample, rest) = sampled(questions);
        assert_eq!((sample.len(), rest.len()), (3, 0));
    }
}
