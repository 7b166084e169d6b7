//! What is remembered of the ConfigMaps that nodes boot with.

use std::collections::BTreeMap;
use std::time::Instant;

/// What is known of one NodePool's ConfigMap.
#[derive(Clone, Debug)]
pub struct Boot {
    /// A digest of what is wanted; none if nothing is.
    pub wanted: Option<String>,
    /// Since when that is wanted.
    pub since: Instant,
    /// A digest of what stands there, once that is known; none in it if nothing stands.
    pub stands: Option<Option<String>>,
    /// When that was read or written.
    pub looked: Instant,
}

/// The ConfigMaps of one hosted cluster, by NodePool.
pub type Boots = BTreeMap<String, Boot>;
