//! What is proven about the sources of one hosted cluster at one time.

use std::borrow::Cow;

use hypermirror_api::annotations;
use hypermirror_api::mirror_coverage::{MirrorProof, UnprovenSource};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::hosted::facts::ClusterFacts;

/// The consumer of the override map, as the registry-manager names it.
const LOOK_UPS: &str = "look-ups";

/// Whose pulls a source decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides<'a> {
    /// Look-ups of HyperShift's operators.
    LookUps,
    /// Pulls of the nodes of all NodePools.
    AllNodes,
    /// Pulls of the nodes of one NodePool.
    NodesOf(&'a str),
}

impl Decides<'_> {
    fn includes(self, consumer: &str) -> bool {
        match self {
            Self::LookUps => consumer == LOOK_UPS,
            Self::AllNodes => consumer != LOOK_UPS,
            Self::NodesOf(pool) => consumer == pool,
        }
    }
}

/// Why a source is not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// For a reason that concerns all sources: [`Proofs::cause`].
    Common,
    /// For this reason.
    Own(String),
}

impl Lacks {
    /// The reason, if it is its own.
    pub fn own(self) -> Option<String> {
        match self {
            Self::Common => None,
            Self::Own(why) => Some(why),
        }
    }
}

/// What is proven.
#[derive(Clone, Debug)]
pub struct Proofs<'a> {
    /// All current sources were let through.
    is_approved: bool,
    /// The proof, if there is one for the current mirrors and needs.
    proof: Option<&'a MirrorProof>,
    /// Why there is none, or why registries gave no answer.
    pub cause: Option<Cow<'a, str>>,
}

impl<'a> Proofs<'a> {
    /// What is proven now. Everything counts as proven if no proof is needed.
    pub fn of(facts: &'a ClusterFacts, now: Timestamp) -> Self {
        let Some(enforcement) = &facts.enforcement else { return Self { is_approved: true, proof: None, cause: None } };
        let approval = facts.object.annotations().get(annotations::ALLOW_UNPROVEN);
        let is_approved = approval.is_some_and(|token| *token == enforcement.token);
        let Some(coverage) = &facts.coverage else {
            let cause = "the hosted cluster has no MirrorCoverage: is the registry-manager running?";
            return Self { is_approved, proof: None, cause: Some(cause.into()) };
        };
        match coverage.proof(&enforcement.subject, now) {
            Ok(proof) => Self { is_approved, proof: Some(proof), cause: coverage.unknown_cause().map(Cow::from) },
            Err(cause) => Self { is_approved, proof: None, cause: Some(cause.into()) },
        }
    }

    /// Why the mirrors of a source are not proven to hold what it decides for these consumers.
    pub fn lacks(&self, source: &str, decides: Decides<'_>) -> Option<Lacks> {
        if self.is_approved {
            return None;
        }
        let Some(proof) = self.proof else { return Some(Lacks::Common) };
        let is_meant = |unproven: &&UnprovenSource| unproven.source == source && decides.includes(&unproven.consumer);
        let mut found = proof.unproven.iter().filter(is_meant);
        match found.next() {
            Some(unproven) if unproven.verdict == "Missing" || self.cause.is_none() => {
                Some(Lacks::Own(words(unproven)))
            }
            Some(_) => Some(Lacks::Common),
            None if proof.unproven_truncated => {
                Some(Lacks::Own("too many sources are not proven to list them all in MirrorCoverage".to_owned()))
            }
            None => None,
        }
    }
}

fn words(unproven: &UnprovenSource) -> String {
    let UnprovenSource { consumer, verdict, images, message, .. } = unproven;
    let noun = if *images == 1 { "image is" } else { "images are" };
    let verdict = if verdict == "Missing" { "missing" } else { "not known" };
    format!("{consumer}: {images} {noun} {verdict}, the first: {message}")
}
