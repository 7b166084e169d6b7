//! Digests that tell texts apart.

use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of a text's SHA-256: enough to tell values apart, short enough to read.
pub fn short_digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().take(8).fold(String::with_capacity(16), |mut digest, byte| {
        let _ = write!(digest, "{byte:02x}"); // writing to a String cannot fail
        digest
    })
}
