//! The OLM catalogs of one hosted cluster: what its annotations say, and whether its control plane is as they say.
//!
//! `wishes` reads the annotations as stock HyperShift does and says what is wrong with them; `compare` looks at the
//! catalogs' objects and makes the patches; this file puts both into one verdict.

pub mod compare;
pub mod patience;
pub mod wishes;

use hypermirror_api::{Reason, annotations};

use self::compare::Difference;
use self::wishes::CatalogWishes;
use super::verdict::Verdict;
use crate::mirrors::finding::Severity;

/// One of the three catalogs that stock HyperShift runs in a control plane (`v2/olm/catalogs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Catalog {
    /// `certified-operators`.
    Certified,
    /// `community-operators`.
    Community,
    /// `redhat-operators`.
    Redhat,
}

impl Catalog {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Certified, Self::Community, Self::Redhat];

    /// The catalog's Deployment in the control-plane namespace.
    pub const fn deployment(self) -> &'static str {
        match self {
            Self::Certified => "certified-operators-catalog",
            Self::Community => "community-operators-catalog",
            Self::Redhat => "redhat-operators-catalog",
        }
    }

    /// The annotation of a HostedCluster that names its image.
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Certified => annotations::CERTIFIED_CATALOG_IMAGE,
            Self::Community => annotations::COMMUNITY_CATALOG_IMAGE,
            Self::Redhat => annotations::REDHAT_CATALOG_IMAGE,
        }
    }
}

/// The ImageStream that the Deployments' images follow where the management cluster has such a kind.
pub const IMAGE_STREAM: &str = "catalogs";

/// What becomes of differences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Stock HyperShift still has time to write them.
    Waiting,
    /// Nobody writes them; the reason stands here, such as a flag.
    Left(String),
    /// A read or write failed, with this error.
    Failed(String),
}

/// The condition `CatalogsValid`.
///
/// What cannot be meant comes before what differs: the former is why the latter is not mended. What merely has no effect is
/// told, and is no failure.
pub fn verdict(wishes: &CatalogWishes, differences: &[Difference], handling: &Handling) -> Verdict {
    let of_weight = |severity: Severity| wishes.findings.iter().filter(move |finding| finding.severity == severity);
    let told = |severity: Severity| {
        let messages: Vec<String> = of_weight(severity)
            .map(|finding| format!("annotation {}: {}", finding.annotation, finding.message))
            .collect();
        messages.join("; ")
    };
    if let Some(first) = of_weight(Severity::Error).next() {
        return Verdict::new("False", first.reason, told(Severity::Error));
    }
    if let Handling::Failed(error) = handling {
        return Verdict::new("False", Reason::WriteFailed, error.clone());
    }
    if !differences.is_empty() {
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let all = all.join("; ");
        return match handling {
            Handling::Left(why) => Verdict::new("False", Reason::CatalogDiffers, format!("{all}: {why}")),
            _ => Verdict::new("False", Reason::Updating, format!("{all}: waiting for stock HyperShift to change it")),
        };
    }
    match of_weight(Severity::Warning).next() {
        Some(first) => Verdict::new("True", first.reason, told(Severity::Warning)),
        None => Verdict::new("True", Reason::AsExpected, "the catalogs match the annotations"),
    }
}

#[cfg(test)]
mod tests;
