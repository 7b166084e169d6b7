//! Whether sources without a fallback need a proof: the flag, and the annotation of one HostedCluster.

use hypermirror_api::annotations;
use kube::ResourceExt;

/// Whether sources without a fallback need a proof to go live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireProof {
    /// No, and nothing is reported about proofs.
    Off,
    /// No, but what is not proven is reported.
    #[default]
    Warn,
    /// Yes.
    Enforce,
}

impl RequireProof {
    const ALL: [Self; 3] = [Self::Off, Self::Warn, Self::Enforce];

    /// The value of the flag and of the annotation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// That of a HostedCluster: its annotation, or else the flag.
    ///
    /// An invalid value counts as `enforce`: to hold what is new harms nothing that is live, and whoever misspells `enforce` wants
    /// no mirror to go live without a proof.
    pub fn of(cluster: &impl ResourceExt, flag: Self) -> Self {
        match value(cluster) {
            None => flag,
            Some(value) => Self::parse(value).unwrap_or(Self::Enforce),
        }
    }

    /// The message for an invalid value of the annotation.
    pub fn invalid(cluster: &impl ResourceExt) -> Option<String> {
        let value = value(cluster).filter(|value| Self::parse(value).is_none())?;
        let key = annotations::REQUIRE_PROOF;
        let known = Self::ALL.map(Self::as_str).join(", ");
        Some(format!(
            "annotation {key} has the invalid value {value:?}, which is treated as enforce; set it to one of {known}"
        ))
    }

    fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == value)
    }
}

fn value(cluster: &impl ResourceExt) -> Option<&str> {
    cluster.annotations().get(annotations::REQUIRE_PROOF).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};

    use super::*;

    #[test]
    fn the_annotation_precedes_the_flag_and_an_invalid_value_is_the_strictest() {
        use RequireProof::{Enforce, Off, Warn};
        for (flag, annotation, expected, is_valid) in [
            (Warn, None, Warn, true),
            (Enforce, None, Enforce, true),
            (Enforce, Some("off"), Off, true),
            (Off, Some("warn"), Warn, true),
            (Warn, Some("enforce"), Enforce, true),
            (Warn, Some("Enforce"), Enforce, false),
            (Off, Some(""), Enforce, false),
        ] {
            let mut cluster = HostedCluster::new("a", HostedClusterSpec::default());
            if let Some(value) = annotation {
                cluster.annotations_mut().insert(annotations::REQUIRE_PROOF.to_owned(), value.to_owned());
            }
            assert_eq!(RequireProof::of(&cluster, flag), expected, "{flag:?} {annotation:?}");
            let message = RequireProof::invalid(&cluster);
            assert_eq!(message.is_none(), is_valid, "{message:?}");
            assert!(message.is_none_or(|message| message.contains("off, warn, enforce")));
        }
    }
}
