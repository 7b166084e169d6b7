//! What a check has proven about sources without a fallback, within limits.

use hypermirror_api::mirror_coverage::{MirrorProof, ProvenCatalog, UnprovenSource};

use super::super::super::status::shown;
use crate::registry::coverage::strict::SourceProof;

/// Bytes of all unproven sources as JSON.
const UNPROVEN_BYTES: usize = 16 * 1024;

/// What a check has proven.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// A digest of the mirrors and needs that were checked.
    pub subject: String,
    /// Each source and consumer.
    pub proofs: Vec<SourceProof>,
    /// Stock images of OLM catalogs that a mirror holds.
    pub catalogs: Vec<ProvenCatalog>,
}

impl Proof {
    /// The part of the status. What is missing comes first, because somebody can copy it.
    pub fn status(&self) -> MirrorProof {
        let mut unproven: Vec<&SourceProof> = self.proofs.iter().filter(|proof| !proof.is_proven()).collect();
        let proven = self.proofs.len() - unproven.len();
        unproven.sort_by_key(|proof| proof.missing == 0);
        let all = unproven.len();
        let mut left = UNPROVEN_BYTES;
        let fitting = unproven.into_iter().map(source).take_while(|source| {
            // With the comma.
            let bytes = serde_json::to_string(source).map_or(usize::MAX, |text| text.len() + 1);
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        });
        let unproven: Vec<UnprovenSource> = fitting.collect();
        MirrorProof {
            subject: self.subject.clone(),
            proven: i64::try_from(proven).unwrap_or(i64::MAX),
            unproven_truncated: unproven.len() < all,
            unproven,
            catalogs: self.catalogs.clone(),
        }
    }
}

fn source(proof: &SourceProof) -> UnprovenSource {
    let (verdict, images) = if proof.missing > 0 { ("Missing", proof.missing) } else { ("Unknown", proof.unknown) };
    UnprovenSource {
        source: proof.source.clone(),
        consumer: proof.consumer.clone(),
        verdict: verdict.to_owned(),
        images: i64::try_from(images).unwrap_or(i64::MAX),
        message: shown(&proof.first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(source: &str, missing: usize, unknown: usize) -> SourceProof {
        let first = "the first".to_owned();
        SourceProof { source: source.to_owned(), consumer: "workers".to_owned(), missing, unknown, first }
    }

    fn names(proof: &MirrorProof) -> Vec<(&str, &str, i64)> {
        proof.unproven.iter().map(|it| (it.source.as_str(), it.verdict.as_str(), it.images)).collect()
    }

    #[test]
    fn only_what_is_not_proven_is_listed_and_what_is_missing_first() {
        let proofs = vec![proof("a", 0, 2), proof("b", 0, 0), proof("c", 1, 5)];
        let status = Proof { subject: "s".to_owned(), proofs, catalogs: Vec::new() }.status();
        assert_eq!((status.subject.as_str(), status.proven, status.unproven_truncated), ("s", 1, false));
        assert_eq!(names(&status), [("c", "Missing", 1), ("a", "Unknown", 2)]);
    }

    #[test]
    fn a_list_that_is_too_long_says_so() {
        let proofs: Vec<SourceProof> = (0..1_000).map(|place| proof(&format!("s{place}.example/a"), 1, 0)).collect();
        let status = Proof { proofs, ..Proof::default() }.status();
        let bytes = serde_json::to_string(&status.unproven).unwrap().len();
        assert!(status.unproven_truncated && bytes <= UNPROVEN_BYTES + 1, "{bytes}");
        assert!(status.unproven.len() > 50 && status.proven == 0);
    }
}
