//! Reconciles the agent's file on the node.

use std::io;

use hypermirror_api::NodeReason;
use hypermirror_api::node_mirror_status::ObservedSet;
use rustix::fs::{AtFlags, statat};
use sha2::{Digest as _, Sha256};

use super::desired::{DROP_IN_DIRECTORY, Decision, DeclaredMirrors, Refusal, decide, warning};
use super::files::{ATTACHMENTS_DIRECTORY, Change, FileChange, Host, Own, Seen};
use super::report::{NodeConditionState, Snapshot};
use crate::mirrors::registries::DROP_IN;

/// Identifies a version of a file, to notice changes by other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    inode: u64,
    size: i64,
    changed: (i64, i128),
}

/// The agent's file.
#[derive(Debug)]
pub struct NodeFile {
    host: Host,
    /// Whether CRI-O is reloaded after a change.
    is_marked: bool,
    known: Option<Identity>,
    observed: Vec<ObservedSet>,
}

/// The result of one pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The state for the report. The caller adds the state of the reload.
    pub snapshot: Snapshot,
    /// Whether CRI-O has to load a change.
    pub is_changed: bool,
}

impl NodeFile {
    /// Creates the file for a host.
    pub fn new(host: Host, is_marked: bool) -> Self {
        Self { host, is_marked, known: None, observed: Vec::new() }
    }

    /// The node's file system.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Reads all files, decides the content and writes it if it differs.
    pub fn reconcile(&mut self, declared: &DeclaredMirrors, observed: Vec<ObservedSet>) -> Pass {
        let seen = match self.host.read_all() {
            Ok(seen) => seen,
            Err(error) => return self.unreadable(&error),
        };
        let mut decision = decide(declared, &seen.foreign, |kind| seen.names_kind(kind));
        // Before the mirrors, so that a signature is found as soon as one is used.
        self.write_attachments(&seen, &mut decision);
        let found = match &seen.own {
            Own::Ours(content) => Some(content.as_slice()),
            Own::Absent | Own::Foreign(_) => None,
        };
        let mut is_changed = false;
        let (applied, on_disk) = match (&decision.file, &seen.own) {
            (Err(refusal), _) => (refused(refusal), found.map(<[u8]>::to_vec)),
            (Ok(_), Own::Foreign(why)) => {
                let message = format!(
                    "{DROP_IN_DIRECTORY}/{DROP_IN} was not written by hypermirror and is not overwritten: {why}"
                );
                (NodeConditionState::new(NodeReason::NotOurFile, message), None)
            }
            (Ok(wanted), _) => {
                let is_same = wanted.as_deref().map(str::as_bytes) == found;
                let file = match wanted {
                    _ if is_same => FileChange::Keep,
                    Some(text) => FileChange::Write(text.clone()),
                    None => FileChange::Remove,
                };
                let change = Change { file, replaces: found.is_some(), legacy: seen.legacy.clone() };
                match self.host.apply(&change, self.is_marked) {
                    Ok(()) => {
                        is_changed = change.is_for_runtime();
                        self.observed = observed;
                        (applied(&decision), wanted.as_ref().map(|text| text.clone().into_bytes()))
                    }
                    Err(error) => {
                        // The failed step may have been after the change.
                        is_changed = self.is_marked && self.host.is_pending();
                        let message = format!("{DROP_IN_DIRECTORY}: {error}");
                        (NodeConditionState::new(NodeReason::WriteFailed, message), found.map(<[u8]>::to_vec))
                    }
                }
            }
        };
        self.known = self.identity();
        let snapshot = self.snapshot(applied, decision, on_disk.as_deref());
        Pass { snapshot, is_changed }
    }

    /// Writes the file in registries.d. An error affects only images whose signatures are demanded, so it is a warning.
    fn write_attachments(&self, seen: &Seen, decision: &mut Decision) {
        let Some(wanted) = decision.attachments.take().filter(|_| !matches!(seen.own, Own::Foreign(_))) else { return };
        if let Err(error) = self.host.apply_attachments(&seen.attachments, wanted.text.as_deref()) {
            let message = format!("{error}; images whose signatures are demanded are refused from mirrors");
            decision.warnings.push(warning("SignaturesNotWritten", ATTACHMENTS_DIRECTORY, &message));
        }
    }

    fn snapshot(&self, applied: NodeConditionState, decision: Decision, on_disk: Option<&[u8]>) -> Snapshot {
        Snapshot::new(applied, decision, self.observed.clone(), on_disk.map(hash).unwrap_or_default())
    }

    fn unreadable(&self, error: &io::Error) -> Pass {
        let message = format!("failed to read the node's files: {error}");
        let state = NodeConditionState::new(NodeReason::WriteFailed, message);
        let snapshot = self.snapshot(state, Decision::nothing(), None);
        Pass { snapshot, is_changed: false }
    }

    /// Whether an observed change may be from another program. The name is that of a file, or empty for the directory itself.
    ///
    /// This must not open a file, because it may run while the agent waits for CRI-O to open it.
    pub fn is_news(&self, name: &[u8]) -> bool {
        if name == DROP_IN.as_bytes() {
            return self.identity() != self.known;
        }
        name.is_empty()
            || [b".conf".as_slice(), b".conf.d", b".yaml", b"registries.d", b"policy.json"]
                .iter()
                .any(|end| name.ends_with(end))
    }

    fn identity(&self) -> Option<Identity> {
        let path = self.host.path(&format!("{DROP_IN_DIRECTORY}/{DROP_IN}"));
        let stat = statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        // Unsigned on some architectures, signed on others.
        let changed = (stat.st_ctime, i128::from(stat.st_ctime_nsec));
        Some(Identity { inode: stat.st_ino, size: stat.st_size, changed })
    }
}

/// The state of a node whose files are not changed.
pub fn refused(refusal: &Refusal) -> NodeConditionState {
    let reason = match refusal {
        Refusal::ForeignFile(_) | Refusal::Unjudged(_) => NodeReason::ForeignFileInvalid,
        Refusal::TooLarge(_) | Refusal::TooMany(_) => NodeReason::FileTooLarge,
        Refusal::WouldBreak(_) => NodeReason::WouldBreakPulls,
        Refusal::KindVanished(_) => NodeReason::KindVanished,
    };
    NodeConditionState::new(reason, refusal.to_string())
}

fn applied(decision: &Decision) -> NodeConditionState {
    let message = match (&decision.file, decision.sources) {
        (Ok(Some(_)), 1) => format!("{DROP_IN_DIRECTORY}/{DROP_IN} is up to date with 1 source"),
        (Ok(Some(_)), sources) => format!("{DROP_IN_DIRECTORY}/{DROP_IN} is up to date with {sources} sources"),
        _ => "no file is needed: the node's other files have all declared mirrors, or none are declared".to_owned(),
    };
    NodeConditionState::new(NodeReason::AsExpected, message)
}

/// The digest of the content of files.
pub fn hash(content: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(content).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

#[cfg(test)]
mod tests;
