//! What is wrong, or may surprise, about one entry.

use hypermirror_api::closed_set;
use serde::Serialize;

use super::{MirrorEntry, Origin};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// The entry is left out.
    Error,
    /// The entry is used, unless its message says otherwise; some pulls may not go where its author thinks.
    Warning,
}

impl Severity {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
        }
    }
}

closed_set! {
    /// Why there is a finding: the closed set, also for conditions and metric labels.
    pub enum FindingReason {
        /// The source is not `host[:port][/path]` or `*.host`.
        InvalidSource,
        /// A mirror is not `host[:port][/path]`.
        InvalidMirror,
        /// `mirrorSourcePolicy` has a value that nobody knows.
        UnknownPolicy,
        /// NeverContactSource, and the source is among its own mirrors.
        SourceAmongMirrors,
        /// A tag or digest in an ImageContentSourcePolicy: fine for control planes, not for nodes.
        TagOrDigest,
        /// A mirror's host without `.` and `:` fails every pull of its source on a node.
        ShortMirrorHost,
        /// `index.docker.io` as a mirror fails every pull of its source on a node.
        LegacyDockerHubMirror,
        /// `docker.io` as a mirror fails pulls whose remainder is one component.
        DockerHubMirror,
        /// A mirror without a path fails pulls of the very repository that is its source.
        MirrorWithoutPath,
        /// A mirror lies in a source that is never contacted, and is skipped.
        MirrorBlocked,
        /// `insecureSkipTLSVerify`: the mirrors are contacted without verified TLS.
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
        /// A wildcard of the same length is selected instead.
        WildcardTie,
        /// A source without a port also catches its host's other ports, and a mirror's path makes invalid names of them.
        SourceCatchesPorts,
        /// A policy without a mirror does nothing.
        PolicyWithoutMirrors,
        /// Entries of one source disagree about contacting it.
        PolicyConflict,
        /// NeverContactSource also blocks the pulls that no mirror serves, by tag or by digest.
        OtherPoolBlocked,
        /// A source hides a broader one, whose mirrors served the other kind of pulls.
        HidesBroaderSource,
        /// A source that may be contacted lies in one that is never contacted.
        EscapesNeverContactSource,
        /// A field or key that the object's kind does not have: it is not read.
        UnknownField,
        /// A field whose value HyperShift replaces by its own.
        FieldReplaced,
    }
}

/// One finding about one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Its weight.
    pub severity: Severity,
    /// Its reason.
    pub reason: FindingReason,
    /// The entry.
    pub origin: Origin,
    /// The path in the object, e.g. `spec.imageDigestMirrors[2].mirrors[0]`.
    pub field: String,
    /// The value that stands there.
    pub value: String,
    /// What a person needs to mend it: one sentence in lower case, without the field.
    pub message: String,
}

/// A place inside an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Source,
    Mirror(usize),
    Policy,
}

impl Finding {
    /// A finding about a place of an entry, with the value that stands there.
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
            Place::Policy => (format!("{field}.mirrorSourcePolicy"), entry.policy.as_deref().unwrap_or_default()),
        };
        Self { severity, reason, origin: entry.origin.clone(), field, value: value.to_owned(), message }
    }

    /// The order in reports: entry by entry, then place by place.
    pub(super) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |finding: &Self| (finding.severity, finding.reason);
        (&self.origin, &self.field)
            .cmp(&(&other.origin, &other.field))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| (&self.value, &self.message).cmp(&(&other.value, &other.message)))
    }
}
