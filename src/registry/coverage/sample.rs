//! Which blobs L2 reads: all, or a part that is chosen at random and is the same for everybody in one round. Pure.

use super::super::wire::digest::{Algorithm, Digest, Hasher};

/// The part of the layers that L2 reads unless more is asked for.
pub const DEFAULT_PERCENT: u8 = 10;

/// Which blobs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Every blob.
    All,
    /// Every config, and this part of the layers.
    Percent {
        /// From 1 to 100.
        percent: u8,
        /// Another seed chooses other layers.
        seed: u64,
    },
}

impl Sample {
    /// Whether a layer is read. The same digest is chosen wherever it is, so that a fleet reads it once.
    pub fn takes(self, digest: &Digest) -> bool {
        let Self::Percent { percent, seed } = self else { return true };
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&seed.to_be_bytes());
        hasher.update(digest.to_string().as_bytes());
        let chosen = hasher.finish();
        let head = chosen.hex().get(..8).and_then(|head| u32::from_str_radix(head, 16).ok()).unwrap_or_default();
        head % 100 < u32::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(percent: u8, seed: u64) -> Vec<usize> {
        let sample = Sample::Percent { percent, seed };
        let digest = |number: &usize| Digest::of(Algorithm::Sha256, &number.to_be_bytes());
        (0..10_000).filter(|number| sample.takes(&digest(number))).collect()
    }

    #[test]
    fn a_sample_has_its_share_and_another_seed_chooses_others() {
        assert!((900..1_100).contains(&chosen(10, 1).len()), "{}", chosen(10, 1).len());
        assert_eq!(chosen(10, 1), chosen(10, 1));
        assert_ne!(chosen(10, 1), chosen(10, 2));
        assert_eq!((chosen(100, 1).len(), chosen(0, 1).len()), (10_000, 0));
        assert!(Sample::All.takes(&Digest::of(Algorithm::Sha256, b"")));
    }
}
