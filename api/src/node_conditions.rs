//! The conditions of a NodeMirrorStatus and their reasons: closed sets, used for metric labels alike.

use serde::{Deserialize, Serialize};

/// The conditions of a [`crate::NodeMirrorStatus`]; both of positive polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeConditionType {
    /// The file on the node says what the node's sets want.
    Applied,
    /// The container runtime has read that file.
    Reloaded,
}

impl NodeConditionType {
    /// The name as it stands in a condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::Reloaded => "Reloaded",
        }
    }
}

/// Why such a condition has its status: the closed set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeReason {
    /// Everything is as it should be.
    AsExpected,
    /// `Applied`: another file on the node breaks every pull already; nothing is touched before it is mended.
    ForeignFileInvalid,
    /// `Applied`: somebody else's file has our file's name; it is not overwritten.
    NotOurFile,
    /// `Applied`: the new file would break every pull; the last good one stays.
    WouldBreakPulls,
    /// `Applied`: a file could not be read, written or removed.
    WriteFailed,
    /// `Applied`: the file on the node names objects of a kind that is gone; it stays until the kind is back.
    KindVanished,
    /// `Reloaded`: the agent was told to leave that to somebody else.
    NotAsked,
    /// `Reloaded`: the reload is on its way.
    Reloading,
    /// `Reloaded`: the container runtime does not answer, so it is stopped, still starting or hung.
    RuntimeNotReady,
    /// `Reloaded`: what answers at the container runtime's socket cannot be told a signal, or is not CRI-O.
    RuntimeNotFound,
    /// `Reloaded`: the message to systemd, or the signal, was refused.
    Refused,
    /// `Reloaded`: CRI-O was told and did not read the file: a broken crio.conf, or it hangs.
    NotRead,
}

impl NodeReason {
    /// The name as it stands in a condition's `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "AsExpected",
            Self::ForeignFileInvalid => "ForeignFileInvalid",
            Self::NotOurFile => "NotOurFile",
            Self::WouldBreakPulls => "WouldBreakPulls",
            Self::WriteFailed => "WriteFailed",
            Self::KindVanished => "KindVanished",
            Self::NotAsked => "NotAsked",
            Self::Reloading => "Reloading",
            Self::RuntimeNotReady => "RuntimeNotReady",
            Self::RuntimeNotFound => "RuntimeNotFound",
            Self::Refused => "Refused",
            Self::NotRead => "NotRead",
        }
    }
}
