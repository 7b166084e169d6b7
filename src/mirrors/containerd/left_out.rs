//! What containerd's format cannot express.

use std::fmt;

/// A source or one of its mirrors that is not in any file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The source.
    pub source: String,
    /// The reason.
    pub reason: LeftOutReason,
    /// Whether the source is contacted although its policy is NeverContactSource.
    pub is_source_contacted: bool,
}

/// Why it is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// The source is a part of this registry.
    Path {
        /// The registry.
        registry: String,
    },
    /// The source is `*.host`.
    Wildcard,
    /// A wildcard source of the same length takes precedence over the source.
    HiddenByWildcard(String),
    /// The name of the source is not that of a registry.
    Name,
    /// The mirror is for pulls by tag only.
    TagOnly(String),
    /// The mirror has another place among the mirrors for pulls by tag than among those for pulls by digest.
    TagOrder(String),
    /// The mirrors for pulls by tag would also serve images of another source, which has mirrors of its own.
    TagsOfNested(String),
    /// The mirror is below a source with NeverContactSource, or contains one.
    MirrorBlocked(String),
    /// The mirror is not a valid location.
    Mirror(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            LeftOutReason::Path { registry } => write!(
                f,
                "containerd's hosts.toml applies to a whole registry; if the mirrors have all images of {registry}, declare \
                 {registry} as the source"
            ),
            LeftOutReason::Wildcard => {
                f.write_str("containerd's hosts.toml has no wildcards; declare each registry as a source")
            }
            LeftOutReason::HiddenByWildcard(wildcard) => {
                write!(f, "the source {wildcard} takes precedence, and containerd's hosts.toml has no wildcards")
            }
            LeftOutReason::Name => f.write_str("the source is not the name of a registry"),
            LeftOutReason::TagOnly(mirror) => write!(
                f,
                "mirror {mirror}: containerd uses a mirror for tags only if it uses it for digests, too; declare it for pulls \
                 by digest as well"
            ),
            LeftOutReason::TagOrder(mirror) => write!(
                f,
                "mirror {mirror}: containerd has one order of mirrors; for pulls by tag this mirror is declared at another \
                 place than for pulls by digest"
            ),
            LeftOutReason::TagsOfNested(nested) => write!(
                f,
                "mirrors for pulls by tag are not used, because containerd would also pull the tags of {nested} from them, \
                 which has mirrors of its own"
            ),
            LeftOutReason::MirrorBlocked(mirror) => {
                write!(f, "mirror {mirror}: it belongs to a source with NeverContactSource")
            }
            LeftOutReason::Mirror(mirror) => write!(f, "mirror {mirror:?}: not a valid location"),
        }?;
        if self.is_source_contacted {
            f.write_str("; NeverContactSource is not in effect")?;
        }
        Ok(())
    }
}
