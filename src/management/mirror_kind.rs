//! The kinds of the management layer.

use std::fmt;
use std::str::FromStr;

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
    /// All kinds.
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
