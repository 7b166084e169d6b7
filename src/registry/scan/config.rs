//! Configs of images.

use jiff::Timestamp;
use serde::Deserialize;

use super::super::wire::manifest::Platform;

/// What a config says of its image.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ImageConfig {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    created: Option<String>,
}

impl ImageConfig {
    pub(super) fn platform(&self) -> Option<String> {
        (!self.platform.os.is_empty()).then(|| self.platform.name())
    }

    pub(super) fn created(&self) -> Option<Timestamp> {
        self.created.as_ref()?.parse().ok()
    }
}
