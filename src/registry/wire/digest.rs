//! Content digests: sha256 and sha512, the algorithms that the image specification registers.

use std::fmt;
use std::sync::Arc;

use ring::digest::{Context, SHA256, SHA512};

/// The longest part of a digest that the referrers tag schema keeps (distribution specification, *Referrers Tag Schema*).
const TAG_SCHEMA_HEX: usize = 64;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`.
    Sha256,
    /// `sha512`.
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Why a text is not a digest that can be checked. Contains the text, cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest {0:?}: neither sha256 with 64 nor sha512 with 128 lower-case hexadecimal digits")]
pub struct DigestError(String);

/// `algorithm:hex`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Shared by all copies: a list of tags has each digest in many places.
    hex: Arc<str>,
}

impl Digest {
    /// Parses a digest.
    ///
    /// # Errors
    /// [`DigestError`] for other algorithms, lengths and letters.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let refused = || DigestError(text.chars().take(160).collect());
        let (name, hex) = text.split_once(':').ok_or_else(refused)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(refused()),
        };
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.hex_digits() || !is_hex {
            return Err(refused());
        }
        Ok(Self { algorithm, hex: hex.into() })
    }

    /// The digest of bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash function.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The tag under which registries without the referrers API keep the referrers of this digest.
    pub fn referrers_tag(&self) -> String {
        let end = TAG_SCHEMA_HEX.min(self.hex.len());
        format!("{}-{}", self.algorithm.name(), &self.hex[..end])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Hashes a stream piece by piece. A clone goes on from the same place: a stream that breaks off is read again from there.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: Context,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Hasher {
    /// Begins.
    pub fn new(algorithm: Algorithm) -> Self {
        let function = match algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        };
        Self { algorithm, context: Context::new(function) }
    }

    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        Digest { algorithm: self.algorithm, hex: hex(self.context.finish().as_ref()).into() }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY);
        let abc = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::parse(abc).unwrap());
    }

    #[test]
    fn other_algorithms_lengths_and_letters_are_refused() {
        let hex = &EMPTY["sha256:".len()..];
        let long = format!("sha256:{hex}0");
        let upper = EMPTY.replace('e', "E");
        let md5 = format!("md5:{hex}");
        let other = format!("sha384:{hex}{}", &hex[..32]);
        let short = format!("sha512:{hex}");
        for text in ["", "sha256", "sha256:", hex, &long, &upper, &md5, &other, &short, "sha256:é"] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn b23_the_referrers_tag_of_sha512_is_cut_to_64_digits() {
        let digest = Digest::of(Algorithm::Sha512, b"x");
        assert_eq!(digest.referrers_tag(), format!("sha512-{}", &digest.hex()[..64]));
        assert_eq!(Digest::parse(EMPTY).unwrap().referrers_tag(), EMPTY.replace(':', "-"));
    }
}
