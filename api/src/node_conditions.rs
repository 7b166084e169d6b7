//! The conditions of a NodeMirrorStatus and their reasons: fixed sets, also used as metric labels.

use crate::closed_set;

closed_set! {
    /// The conditions of a [`crate::NodeMirrorStatus`]. True is the healthy status of each.
    pub enum NodeConditionType {
        /// The configuration file on the node is up to date with the node's sets.
        Applied,
        /// The container runtime has loaded that file.
        Reloaded,
    }
}

closed_set! {
    /// The reasons of these conditions.
    pub enum NodeReason {
        /// Everything is as it should be.
        AsExpected,
        /// `Applied`: another file on the node already breaks every pull. The agent writes nothing until it is fixed.
        ForeignFileInvalid,
        /// `Applied`: a file that hypermirror did not create has the name of its file. It is not overwritten.
        NotOurFile,
        /// `Applied`: the new file would break every pull. The last valid one stays.
        WouldBreakPulls,
        /// `Applied`: the agent does not handle that many mirrors or a file that large. The last valid one stays.
        FileTooLarge,
        /// `Applied`: a file could not be read, written or removed.
        WriteFailed,
        /// `Applied`: the file has mirrors of a kind whose CRD was removed. It stays unchanged until the CRD is installed again.
        KindVanished,
        /// `Applied`: containerd does not read hosts.toml, because `config_path` is not set in its configuration.
        RuntimeNotConfigured,
        /// `Reloaded`: the agent does not reload the container runtime (`--reload=none`).
        NotAsked,
        /// `Reloaded`: the reload is in progress.
        Reloading,
        /// `Reloaded`: the container runtime does not respond: it is stopped, still starting, or hangs.
        RuntimeNotReady,
        /// `Reloaded`: the process at the container runtime's socket cannot be signalled, or is not CRI-O.
        RuntimeNotFound,
        /// `Reloaded`: systemd refused the request, or the kernel refused the signal.
        Refused,
        /// `Reloaded`: CRI-O was reloaded and did not read the file: its own configuration is invalid, or it hangs.
        NotRead,
    }
}
