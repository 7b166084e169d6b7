//! Where an entry comes from: kept from the first read to the last report.

use std::fmt;

use serde::Serialize;

/// Which level of the fleet declares an entry; a later one is more specific and its mirrors come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Layer {
    /// ICSP, IDMS and ITMS of the management cluster.
    Management,
    /// `imageContentSources` and `imageMirrorConfigRef` of one HostedCluster.
    HostedCluster,
    /// The mirror documents of one NodePool.
    NodePool,
}

/// One entry's place: object, key and document inside it, position in its list.
///
/// Printed as JSON with every key present; what does not apply is null.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Origin {
    /// The object's kind.
    pub kind: String,
    /// Its namespace; null for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The ConfigMap's key, where the entry stands in a ConfigMap.
    pub key: Option<String>,
    /// The document inside that key, from 0.
    pub document: Option<usize>,
    /// The entry's position in its list, from 0.
    pub index: usize,
    /// The level that declares it.
    pub layer: Layer,
}

impl fmt::Display for Origin {
    /// `Kind/[namespace/]name[key#document][index]`, for reports and messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)?;
        if let Some(key) = &self.key {
            write!(f, "[{key}#{}]", self.document.unwrap_or(0))?;
        }
        write!(f, "[{}]", self.index)
    }
}
