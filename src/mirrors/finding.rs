//! Errors and warnings about single entries.

use hypermirror_api::closed_set;
use serde::Serialize;

use super::{DeclaredPolicy, MirrorEntry, Origin};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// The entry is ignored.
    Error,
    /// The entry is used, unless the message states otherwise, and may not have the intended effect.
    Warning,
    /// Information: nothing has to be fixed.
    Info,
}

impl Severity {
    /// The name that reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}

closed_set! {
    /// The reasons of findings, a fixed set that is also used in conditions and metric labels.
    pub enum FindingReason {
        /// The source is not `host[:port][/path]` or `*.host`.
        InvalidSource,
        /// A mirror is not `host[:port][/path]`.
        InvalidMirror,
        /// `mirrorSourcePolicy` has an unknown value.
        UnknownPolicy,
        /// The policy is NeverContactSource and the source is one of its own mirrors.
        SourceAmongMirrors,
        /// A tag or digest in an ImageContentSourcePolicy: valid for control planes, not for nodes.
        TagOrDigest,
        /// A mirror's host without `.` and `:` fails every pull of its source on a node.
        ShortMirrorHost,
        /// `index.docker.io` as a mirror fails every pull of its source on a node.
        LegacyDockerHubMirror,
        /// `docker.io` as a mirror fails pulls whose name has one component below the source.
        DockerHubMirror,
        /// A mirror without a path fails pulls of the repository that is the source itself.
        MirrorWithoutPath,
        /// A mirror is below a source with NeverContactSource and is skipped.
        MirrorBlocked,
        /// `insecureSkipTLSVerify`: the TLS certificates of the mirrors are not verified.
        InsecureMirrors,
        /// A source's host without `.` and `:` matches nothing.
        ShortSourceHost,
        /// A source's host with an upper-case letter matches nothing that is written in lower case.
        UppercaseSource,
        /// `index.docker.io` as a source matches nothing.
        LegacyDockerHubSource,
        /// `docker.io/name` does not match the official image `name`.
        DockerHubSource,
        /// Control planes cannot match a wildcard.
        WildcardIneffective,
        /// A wildcard of the same length takes precedence.
        WildcardTie,
        /// A source without a port also matches other ports of its host. Mirrors with a path result in invalid names for these.
        SourceCatchesPorts,
        /// A policy without a mirror has no effect.
        PolicyWithoutMirrors,
        /// Entries for the same source have different policies.
        PolicyConflict,
        /// NeverContactSource also blocks pulls for which there is no mirror, by tag or by digest.
        OtherPoolBlocked,
        /// A source hides a broader one that has mirrors for the other kind of pull.
        HidesBroaderSource,
        /// A source that may be contacted is below a source with NeverContactSource.
        EscapesNeverContactSource,
        /// The kind of the object does not have this field or key, which is ignored.
        UnknownField,
        /// HyperShift replaces the value of this field with its own.
        FieldReplaced,
        /// A list has a mirror twice. Only the first occurrence is used.
        RepeatedMirror,
        /// HyperShift's operators match no image with this source.
        SourceNotLookedUp,
        /// HyperShift's operators skip this mirror.
        MirrorNotLookedUp,
        /// HyperShift's operators request another path of this mirror.
        MirrorPathDropped,
        /// HyperShift's operators use the mirrors of a source for images of another registry as well.
        RegistryNotCompared,
        /// Several entries declare mirrors for one source. The message has the resulting order.
        MergedOrder,
        /// A MachineConfig writes a file of registries.conf.d whose content is not known.
        NodeFileUnknown,
    }
}

/// One finding about one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// Its reason.
    pub reason: FindingReason,
    /// The entry.
    pub origin: Origin,
    /// The path in the object, e.g. `spec.imageDigestMirrors[2].mirrors[0]`.
    pub field: String,
    /// The value of the field.
    pub value: String,
    /// What is wrong and how to fix it: one sentence in lower case, without the field.
    pub message: String,
}

/// A field of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Source,
    Mirror(usize),
    Policy,
}

impl Finding {
    /// A finding about a field of an entry, with the value of that field.
    pub(super) fn new(
        severity: Severity,
        reason: FindingReason,
        entry: &MirrorEntry,
        place: Place,
        message: String,
    ) -> Self {
        let field = entry.field();
        let (field, value) = match place {
            Place::Source => (format!("{field}.source"), entry.source.as_str()),
            Place::Mirror(index) => {
                (format!("{field}.mirrors[{index}]"), entry.mirrors.get(index).map_or("", String::as_str))
            }
            Place::Policy => (
                format!("{field}.mirrorSourcePolicy"),
                entry.policy.as_ref().map(DeclaredPolicy::as_str).unwrap_or_default(),
            ),
        };
        Self { severity, reason, origin: entry.origin.clone(), field, value: value.to_owned(), message }
    }

    /// The order in reports: by entry, then by field.
    pub(super) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |finding: &Self| (finding.severity, finding.reason);
        (&self.origin, &self.field)
            .cmp(&(&other.origin, &other.field))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| (&self.value, &self.message).cmp(&(&other.value, &other.message)))
    }
}
