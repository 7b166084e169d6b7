//! Signatures of sigstore, as nodes look for them: by the tag that cosign writes, or as a referrer.
//!
//! Nodes check the single image that they run, not the index around it (`containers/image`, `copy/single.go`), and ask the registry
//! that gave the image (`docker/docker_image_src.go`). Whether a policy accepts a signature is not checked.

use super::super::super::distribution::Target;
use super::super::super::name::Reference;
use super::super::super::wire::manifest::Descriptor;
use super::super::lack::{Lack, Owner, Part};
use super::super::matrix::Level;
use super::{Checker, MISSING, State, Visited, of_part};

/// The payload of a signature in the manifest below cosign's tag.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Types of referrers that are signatures, whatever their version.
const REFERRER_TYPES: [&str; 2] = ["application/vnd.dev.sigstore.bundle", "application/vnd.dev.cosign.artifact.sig"];
/// Signatures of one image that are looked at; one is enough.
const MAX_REFERRERS: usize = 16;

impl Checker {
    /// Whether an image is signed. An index needs no signature of its own.
    pub(super) async fn signature_of(&self, target: Target<'_>, visited: &Visited) -> Vec<State<()>> {
        if visited.manifest.kind.is_index() {
            return Vec::new();
        }
        let state = match self.by_tag(target, visited).await {
            State::Lacking(lack) if lack.message == MISSING => self.by_referrer(target, visited).await,
            state => state,
        };
        vec![match state {
            State::Lacking(lack) => {
                State::Lacking(Lack::of(Part::Signature, &visited.owner, &visited.digest, lack.message))
            }
            state => state,
        }]
    }

    /// `sha256-….sig`: nodes read every blob of that manifest.
    async fn by_tag(&self, target: Target<'_>, visited: &Visited) -> State<()> {
        let tag = format!("{}.sig", visited.digest.referrers_tag());
        match self.client.manifest(target, &Reference::Tag(tag.clone())).await {
            Ok(fetched) if !fetched.manifest.layers.iter().any(|layer| layer.media_type == SIMPLE_SIGNING) => {
                State::Lacking(Lack::pull(format!("is missing: tag {tag} has none")))
            }
            Ok(fetched) => {
                let signature =
                    Visited { digest: fetched.digest, owner: Owner::default(), manifest: fetched.manifest.into() };
                self.blobs_are_there(target, &signature, &format!("tag {tag}")).await
            }
            Err(error) => of_part(&error),
        }
    }

    async fn by_referrer(&self, target: Target<'_>, visited: &Visited) -> State<()> {
        let referrers = match self.client.referrers(target, &visited.digest).await {
            Ok(referrers) => referrers.manifests,
            Err(error) => return of_part(&error),
        };
        let is_signature = |referrer: &&Descriptor| {
            let of = referrer.artifact_type.as_deref().unwrap_or_default();
            REFERRER_TYPES.iter().any(|known| of.starts_with(known))
        };
        let mut last = State::Lacking(Lack::pull(MISSING));
        for referrer in referrers.iter().filter(is_signature).take(MAX_REFERRERS) {
            last = match self.manifest(target, &referrer.digest).await {
                State::Held(manifest) => {
                    let digest = referrer.digest.clone();
                    let signature = Visited { digest, owner: Owner::default(), manifest };
                    self.blobs_are_there(target, &signature, &format!("referrer {}", referrer.digest)).await
                }
                State::Lacking(lack) => {
                    State::Lacking(Lack::pull(format!("is incomplete: referrer {} {}", referrer.digest, lack.message)))
                }
                State::Unknown(reason, message) => State::Unknown(reason, message),
            };
            if matches!(last, State::Held(())) {
                break;
            }
        }
        last
    }

    async fn blobs_are_there(&self, target: Target<'_>, signature: &Visited, name: &str) -> State<()> {
        let states = self.blobs_of(target, signature, Level::L1).await;
        let wrong = states.into_iter().find(|state| !matches!(state, State::Held(())));
        match wrong {
            None => State::Held(()),
            Some(State::Lacking(lack)) => State::Lacking(Lack::pull(format!("is incomplete: {name}: {lack}"))),
            Some(state) => state,
        }
    }
}
