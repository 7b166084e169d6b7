//! The files that pages need, part of the program.

/// A file.
pub struct Asset {
    pub name: &'static str,
    pub media_type: &'static str,
    pub content: &'static str,
    /// Whether pages in files need it, too.
    pub is_exported: bool,
}

/// htmx is code of others (Zero-Clause BSD, see the licence beside it); the rest is ours.
pub const ASSETS: [Asset; 4] = [
    Asset {
        name: "style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("assets/style.css"),
        is_exported: true,
    },
    Asset {
        name: "icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("assets/icon.svg"),
        is_exported: true,
    },
    Asset {
        name: "htmx.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/htmx-2.0.11.min.js"),
        is_exported: false,
    },
    Asset {
        name: "dashboard.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/dashboard.js"),
        is_exported: false,
    },
];

#[cfg(test)]
mod tests {
    use crate::registry::wire::digest::{Algorithm, Digest};

    use super::ASSETS;

    #[test]
    fn htmx_is_the_file_that_was_released() {
        let htmx = ASSETS.iter().find(|asset| asset.name == "htmx.js").unwrap();
        let digest = Digest::of(Algorithm::Sha256, htmx.content.as_bytes());
        assert_eq!(digest.to_string(), "sha256:d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717");
    }
}
