//! How many items a status holds.

use serde::Serialize;

/// Bytes of all images as JSON. The rest of a status has less than 16 KiB: together less than the 256 KiB at which a thousand
/// objects are a quarter of what etcd holds by default.
pub const IMAGES_BYTES: usize = 200 * 1024;

/// The first items that fit into so many bytes as JSON, and whether others are left out.
pub fn fitting<T: Serialize>(items: impl IntoIterator<Item = T>, bytes: usize) -> (Vec<T>, bool) {
    let (mut found, mut left) = (Vec::new(), bytes);
    for item in items {
        // With the comma.
        let bytes = serde_json::to_string(&item).map_or(usize::MAX, |text| text.len() + 1);
        if bytes > left {
            return (found, true);
        }
        left -= bytes;
        found.push(item);
    }
    (found, false)
}
