//! What registries send, parsed: tolerant of what they are known to get wrong, bounded, and pure.
//!
//! Nothing here trusts a text that it reads: no parser panics, recurses without a limit or keeps more than it was given.

pub mod challenge;
pub mod digest;
pub mod error_body;
pub mod link;
pub mod location;
pub mod manifest;
pub mod media_type;
pub mod rate_limit;
pub mod referrers_index;
pub mod retry_after;
pub mod tag_list;
pub mod upload_range;

/// Whether bytes are a JSON object. Serde reads a list as an object by the places of its fields, which no registry means.
pub fn is_object(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
