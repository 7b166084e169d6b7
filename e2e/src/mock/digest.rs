//! Digests of content that comes in parts, and content that is made while it is read.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{Context, SHA256, SHA512};

/// `sha256:…` or `sha512:…`. Shared: one digest has up to hundreds of thousands of tags.
pub type Digest = Arc<str>;

/// How much of synthetic content is in memory at a time.
const BLOCK: usize = 64 * 1024;

/// The sha256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    printed("sha256", ring::digest::digest(&SHA256, bytes).as_ref())
}

/// The sha512 digest of `bytes`.
pub fn sha512(bytes: &[u8]) -> Digest {
    printed("sha512", ring::digest::digest(&SHA512, bytes).as_ref())
}

/// Whether `text` is a digest of an algorithm that the mock knows.
pub(super) fn is_digest(text: &str) -> bool {
    match text.split_once(':') {
        Some(("sha256", hash)) => hash.len() == 64 && is_hex(hash),
        Some(("sha512", hash)) => hash.len() == 128 && is_hex(hash),
        _ => false,
    }
}

/// Whether `bytes` are what `digest` stands for.
pub(super) fn matches(bytes: &[u8], digest: &str) -> bool {
    let mut hash = Hash::default();
    hash.update(bytes);
    hash.is(digest)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn printed(algorithm: &str, hash: &[u8]) -> Digest {
    let hash = hash.iter().fold(format!("{algorithm}:"), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    });
    hash.into()
}

/// Both digests of what was read so far: which one counts, the client says at the end.
#[derive(Clone)]
pub(super) struct Hash {
    sha256: Context,
    sha512: Context,
}

impl Default for Hash {
    fn default() -> Self {
        Self { sha256: Context::new(&SHA256), sha512: Context::new(&SHA512) }
    }
}

impl Hash {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
    }

    pub(super) fn is(&self, digest: &str) -> bool {
        let found = match digest.split_once(':') {
            Some(("sha512", _)) => printed("sha512", self.sha512.clone().finish().as_ref()),
            _ => printed("sha256", self.sha256.clone().finish().as_ref()),
        };
        &*found == digest
    }
}

/// Content that is made while it is read: blobs of gigabytes that take no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// Its length in bytes.
    pub size: u64,
    /// Content of another seed is other content.
    pub seed: u64,
}

impl Synthetic {
    /// Content of this length.
    pub fn new(size: u64, seed: u64) -> Self {
        Self { size, seed }
    }

    /// Its digest. Reads it once.
    pub fn digest(self) -> Digest {
        let mut context = Context::new(&SHA256);
        self.blocks(0, self.size).for_each(|block| context.update(&block));
        printed("sha256", context.finish().as_ref())
    }

    /// The content from `from` up to and without `to`, in blocks.
    pub fn blocks(self, from: u64, to: u64) -> impl Iterator<Item = Bytes> + Send {
        let block = self.block();
        let length = BLOCK as u64;
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            // Both are below the length of a block.
            let start = usize::try_from(at % length).ok()?;
            let end = usize::try_from((to - at + at % length).min(length)).ok()?;
            at += (end - start) as u64;
            Some(block.slice(start..end))
        })
    }

    /// All blocks are equal: what is tested is how much is read, not how well it compresses.
    fn block(self) -> Bytes {
        let mut state = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.take(BLOCK / 8).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_content_is_the_same_in_whole_and_in_parts() {
        let content = Synthetic::new(200_001, 7);
        let whole: Vec<u8> = content.blocks(0, content.size).flatten().collect();
        assert_eq!(whole.len(), 200_001);
        assert_eq!(content.digest(), sha256(&whole));
        let part: Vec<u8> = content.blocks(65_000, 140_000).flatten().collect();
        assert_eq!(part, whole[65_000..140_000]);
        assert_ne!(Synthetic::new(200_001, 8).digest(), content.digest());
    }

    #[test]
    fn a_digest_has_an_algorithm_and_a_hash_of_its_length() {
        assert!(is_digest(&sha256(b"")) && is_digest(&sha512(b"")));
        assert!(!is_digest("sha256:baddigeststring") && !is_digest("v1") && !is_digest("sha256:"));
        assert!(matches(b"a", &sha512(b"a")) && !matches(b"b", &sha256(b"a")));
    }
}
