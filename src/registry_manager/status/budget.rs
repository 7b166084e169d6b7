//! How many images a status holds.

use hypermirror_api::registry::RegistryImage;

/// Bytes of all images as JSON. The rest of a status has less than 16 KiB: together less than the 256 KiB at which a thousand
/// objects are a quarter of what etcd holds by default.
pub const IMAGES_BYTES: usize = 200 * 1024;

/// The first images that fit, and whether others are left out.
pub fn fitting(images: impl IntoIterator<Item = RegistryImage>) -> (Vec<RegistryImage>, bool) {
    let (mut found, mut left) = (Vec::new(), IMAGES_BYTES);
    for image in images {
        // With the comma.
        let bytes = serde_json::to_string(&image).map_or(usize::MAX, |text| text.len() + 1);
        if bytes > left {
            return (found, true);
        }
        left -= bytes;
        found.push(image);
    }
    (found, false)
}
