//! Condition types and reasons: closed sets, used for conditions, events and metric labels alike.

use serde::{Deserialize, Serialize};

/// The conditions of a [`crate::HostedClusterMirrors`]; all of positive polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
    /// Everything that declares mirrors for this cluster was read and is valid.
    SourcesResolved,
    /// Each target Deployment carries the override map that is wanted.
    ControlPlaneUpToDate,
    /// All of the above.
    Ready,
}

impl ConditionType {
    /// The name as it stands in a condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourcesResolved => "SourcesResolved",
            Self::ControlPlaneUpToDate => "ControlPlaneUpToDate",
            Self::Ready => "Ready",
        }
    }
}

/// Why a condition has its status: the closed set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Everything is as it should be.
    AsExpected,
    /// A mirror entry is invalid and was left out; the message names it.
    InvalidEntries,
    /// An object that declares mirrors could not be decoded and was left out.
    MalformedObject,
    /// A mirror kind that was once there is gone; its last known entries stay in force.
    KindVanished,
    /// A mirror kind cannot be read now; its last known entries stay in force.
    SourceUnreadable,
    /// A target Deployment does not carry the wanted map yet.
    Updating,
    /// None of the target Deployments exists yet.
    TargetsMissing,
    /// Some, but not all, of the target Deployments exist.
    TargetsIncomplete,
    /// A target Deployment has no container of the expected name.
    ContainerMissing,
    /// The manager observes only, and something would change.
    Observing,
    /// The change would empty the maps of too many hosted clusters at once and waits for approval.
    RemovalHeld,
    /// The value is larger than the kernel takes for one environment variable and was not written.
    ValueTooLarge,
    /// Somebody takes our entry away again and again; it is left alone for a while.
    Contested,
    /// The API server refused or failed a write; the message says why.
    WriteFailed,
    /// Writes for this hosted cluster are paused.
    Paused,
    /// A source that the stock argument already has was left out of ours.
    SourceTaken,
    /// The hosted cluster is being deleted.
    Deleting,
}

impl Reason {
    /// The name as it stands in a condition's `reason`, an event's `reason` and a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "AsExpected",
            Self::InvalidEntries => "InvalidEntries",
            Self::MalformedObject => "MalformedObject",
            Self::KindVanished => "KindVanished",
            Self::SourceUnreadable => "SourceUnreadable",
            Self::Updating => "Updating",
            Self::TargetsMissing => "TargetsMissing",
            Self::TargetsIncomplete => "TargetsIncomplete",
            Self::ContainerMissing => "ContainerMissing",
            Self::Observing => "Observing",
            Self::RemovalHeld => "RemovalHeld",
            Self::ValueTooLarge => "ValueTooLarge",
            Self::Contested => "Contested",
            Self::WriteFailed => "WriteFailed",
            Self::Paused => "Paused",
            Self::SourceTaken => "SourceTaken",
            Self::Deleting => "Deleting",
        }
    }
}
