//! The origin of an entry, from the object that declares it to the reports.

use std::fmt;

use serde::Serialize;

/// The layer of an entry. A later layer is more specific, and its mirrors come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Layer {
    /// ICSP, IDMS and ITMS of the management cluster.
    Management,
    /// `imageContentSources` and `imageMirrorConfigRef` of one HostedCluster.
    HostedCluster,
    /// Mirrors in the ConfigMaps that one NodePool references.
    NodePool,
}

/// The origin of an entry: object, key, document and index in the list.
///
/// Serializes with all keys. Keys that do not apply are null.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Origin {
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object. Null for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
    /// Key in the ConfigMap, if the object is a ConfigMap.
    pub key: Option<String>,
    /// Index of the document in that key, starting at 0.
    pub document: Option<usize>,
    /// Index of the entry in its list, starting at 0.
    pub index: usize,
    /// The layer of the entry.
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
