//! The kinds that may come and go: their CRDs are watched by name, their objects while the CRD is there.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::deadline::answered;

/// A kind of the management layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum MirrorKind {
    /// ImageContentSourcePolicy.
    Icsp,
    /// ImageDigestMirrorSet.
    Idms,
    /// ImageTagMirrorSet.
    Itms,
}

impl MirrorKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Icsp, Self::Idms, Self::Itms];

    /// The short name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Icsp => "icsp",
            Self::Idms => "idms",
            Self::Itms => "itms",
        }
    }

    /// The kind's name.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Icsp => "ImageContentSourcePolicy",
            Self::Idms => "ImageDigestMirrorSet",
            Self::Itms => "ImageTagMirrorSet",
        }
    }

    /// The name of its CRD.
    pub const fn crd(self) -> &'static str {
        match self {
            Self::Icsp => "imagecontentsourcepolicies.operator.openshift.io",
            Self::Idms => "imagedigestmirrorsets.config.openshift.io",
            Self::Itms => "imagetagmirrorsets.config.openshift.io",
        }
    }
}

impl fmt::Display for MirrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MirrorKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|kind| text.eq_ignore_ascii_case(kind.as_str()) || text.eq_ignore_ascii_case(kind.kind()));
        found.ok_or_else(|| format!("{text:?} is not icsp, idms or itms"))
    }
}

/// The CRD of HostedClusters: hypermirror may be installed before HyperShift.
pub const HOSTED_CLUSTERS_CRD: &str = "hostedclusters.hypershift.openshift.io";

/// The CRD of NodePools.
pub const NODE_POOLS_CRD: &str = "nodepools.hypershift.openshift.io";

/// The CRD of HostedControlPlanes, which name the owners of control-plane namespaces.
pub const HOSTED_CONTROL_PLANES_CRD: &str = "hostedcontrolplanes.hypershift.openshift.io";

/// Whether a CRD is there and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its objects can be watched.
    Present,
    /// It is not there, or on its way out: then the API server deletes all objects of the kind first.
    Absent,
}

/// The UID of a CRD that is there to stay; none while it is on its way out. One that is installed again is another one.
pub fn standing(crd: &PartialObjectMeta<CustomResourceDefinition>) -> Option<String> {
    crd.uid().filter(|_| crd.metadata.deletion_timestamp.is_none())
}

/// Asks for a CRD now, not from a cache: whether a deleted object was deleted by a person or went with its CRD.
///
/// # Errors
/// Any answer but yes and no: then nothing may be concluded.
pub async fn ask_standing(client: &Client, crd: &str) -> Result<Option<String>, kube::Error> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    Ok(answered(api.get_metadata_opt(crd)).await?.as_ref().and_then(standing))
}

/// The watch of one CRD, which RBAC can restrict by `resourceNames`.
pub fn crd_watch(client: &Client, crd: &str) -> (Api<PartialObjectMeta<CustomResourceDefinition>>, watcher::Config) {
    let config = watcher::Config::default().fields(&format!("metadata.name={crd}"));
    (Api::all(client.clone()), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_short_or_long() {
        for kind in MirrorKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.kind().to_lowercase().parse(), Ok(kind));
        }
        assert!("configmaps".parse::<MirrorKind>().is_err());
    }
}
