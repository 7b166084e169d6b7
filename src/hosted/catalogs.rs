//! The OLM catalogs of one hosted cluster: its annotations, and whether the control plane matches them.
//!
//! `requested` parses the annotations like stock HyperShift; `compare` compares the objects and creates patches; `mirrored` finds the places of a proof; this file creates
//! the condition.

pub mod compare;
pub mod mirrored;
pub mod patience;
pub mod requested;

use hypermirror_api::{Reason, annotations};

use self::compare::Difference;
use self::requested::RequestedCatalogs;
use super::condition_state::ConditionState;
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
    /// All catalogs.
    pub const ALL: [Self; 3] = [Self::Certified, Self::Community, Self::Redhat];

    /// The catalog's Deployment in the control-plane namespace.
    pub const fn deployment(self) -> &'static str {
        match self {
            Self::Certified => "certified-operators-catalog",
            Self::Community => "community-operators-catalog",
            Self::Redhat => "redhat-operators-catalog",
        }
    }

    /// The annotation of a HostedCluster with its image.
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Certified => annotations::CERTIFIED_CATALOG_IMAGE,
            Self::Community => annotations::COMMUNITY_CATALOG_IMAGE,
            Self::Redhat => annotations::REDHAT_CATALOG_IMAGE,
        }
    }
}

/// The ImageStream that the images of the Deployments follow, if the management cluster has this kind.
pub const IMAGE_STREAM: &str = "catalogs";

/// How differences are handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Waiting for stock HyperShift to write them.
    Waiting,
    /// They are not written, for this reason, such as a flag.
    Left(String),
    /// A read or write failed, with this error.
    Failed(String),
}

/// The condition `CatalogsValid`.
///
/// Invalid annotations take precedence over differences, because they are the reason why these are not corrected. Annotations
/// without effect are reported, but the condition is True.
pub fn condition(requested: &RequestedCatalogs, differences: &[Difference], handling: &Handling) -> ConditionState {
    let of_weight = |severity: Severity| requested.findings.iter().filter(move |finding| finding.severity == severity);
    let messages_of = |severity: Severity| {
        let messages: Vec<String> = of_weight(severity)
            .map(|finding| format!("annotation {}: {}", finding.annotation, finding.message))
            .collect();
        messages.join("; ")
    };
    if let Some(first) = of_weight(Severity::Error).next() {
        return ConditionState::new("False", first.reason, messages_of(Severity::Error));
    }
    if let Handling::Failed(error) = handling {
        return ConditionState::new("False", Reason::WriteFailed, error.clone());
    }
    if !differences.is_empty() {
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let all = all.join("; ");
        return match handling {
            Handling::Left(why) => ConditionState::new("False", Reason::CatalogDiffers, format!("{all}: {why}")),
            _ => ConditionState::new(
                "False",
                Reason::Updating,
                format!("{all}: waiting for stock HyperShift to change it"),
            ),
        };
    }
    match of_weight(Severity::Warning).next() {
        Some(first) => ConditionState::new("True", first.reason, messages_of(Severity::Warning)),
        None => ConditionState::new("True", Reason::AsExpected, "the catalogs match the annotations"),
    }
}

#[cfg(test)]
mod tests;
