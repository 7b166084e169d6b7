//! Whether bytes are what their digest says.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;

use super::super::error::Cause;
use super::super::wire::digest::Digest;

/// Checks bytes against the digest that names them.
///
/// A header may say that they are compressed although they are as stored (Apache), or they may be compressed although
/// nobody asked for that: if they do not match as they came, they are decoded once, up to `limit` bytes.
pub(super) fn checked(
    bytes: Bytes,
    expected: &Digest,
    encoding: Option<&str>,
    what: &'static str,
    limit: usize,
) -> Result<Bytes, Cause> {
    let actual = Digest::of(expected.algorithm(), &bytes);
    if actual == *expected {
        return Ok(bytes);
    }
    if is_gzip(encoding)
        && let Some(decoded) = decoded(&bytes, what, limit)?
        && Digest::of(expected.algorithm(), &decoded) == *expected
    {
        return Ok(decoded);
    }
    Err(Cause::Digest { expected: expected.clone(), actual })
}

pub(super) fn is_gzip(encoding: Option<&str>) -> bool {
    encoding.is_some_and(|name| matches!(name.trim().to_ascii_lowercase().as_str(), "gzip" | "x-gzip"))
}

/// Nothing, if the bytes are not compressed at all.
pub(super) fn decoded(bytes: &[u8], what: &'static str, limit: usize) -> Result<Option<Bytes>, Cause> {
    let mut out = Vec::new();
    // One more than the limit, to see that there is more.
    match GzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut out) {
        Err(_) => Ok(None),
        Ok(length) if length > limit => Err(Cause::TooLarge { what, limit }),
        Ok(_) => Ok(Some(out.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::registry::wire::digest::Algorithm;

    fn compressed(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn b13_bytes_count_as_they_came_and_then_decoded() {
        let plain = Bytes::from_static(b"manifest");
        let digest = Digest::of(Algorithm::Sha256, &plain);
        let check = |bytes: Bytes, encoding| checked(bytes, &digest, encoding, "manifest", 100);
        for encoding in [None, Some("gzip"), Some("br")] {
            assert_eq!(check(plain.clone(), encoding).unwrap(), plain, "{encoding:?}");
        }
        for encoding in ["gzip", "x-gzip", "GZIP"] {
            assert_eq!(check(compressed(&plain), Some(encoding)).unwrap(), plain, "{encoding}");
        }
        assert!(matches!(check(compressed(&plain), None), Err(Cause::Digest { .. })));
        assert!(matches!(check(compressed(b"other"), Some("gzip")), Err(Cause::Digest { .. })));
        assert!(matches!(check(Bytes::from_static(b"other"), Some("gzip")), Err(Cause::Digest { .. })));
    }

    #[test]
    fn b13_what_is_decoded_is_bounded() {
        let bomb = compressed(&vec![0; 1 << 20]);
        let digest = Digest::of(Algorithm::Sha512, b"x");
        let refused = checked(bomb, &digest, Some("gzip"), "manifest", 1_000);
        assert_eq!(refused, Err(Cause::TooLarge { what: "manifest", limit: 1_000 }));
    }
}
