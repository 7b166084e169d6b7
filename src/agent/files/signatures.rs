//! Reads the node's files about signatures, and writes the agent's file in registries.d.

use super::write::{failed, put, remove, rename, sync};
use super::{Host, Own, WriteError};
use crate::mirrors::attachments::{HEADER, SignatureFiles};
use rustix::io::Errno;

/// The directory of the agent's file, as a path on the node.
pub const ATTACHMENTS_DIRECTORY: &str = "/etc/containers/registries.d";
/// The agent's file.
const NAME: &str = "hypermirror.yaml";
/// The temporary name of a new file. Only files whose name ends in `.yaml` are loaded.
const TEMPORARY: &str = ".hypermirror.yaml.tmp";
const POLICY: &str = "/etc/containers/policy.json";

impl Host {
    /// Reads all files about signatures, and the agent's own file.
    pub(super) fn read_signatures(&self) -> (SignatureFiles, Own) {
        let mut files = SignatureFiles::default();
        let mut own = Own::Absent;
        match self.content(POLICY) {
            Ok(content) => files.policy = content.map(|content| (POLICY.to_owned(), content)),
            Err(error) => files.unusable = Some((POLICY.to_owned(), error.to_string())),
        }
        let names = self.names(ATTACHMENTS_DIRECTORY).unwrap_or_else(|error| {
            files.unusable = Some((ATTACHMENTS_DIRECTORY.to_owned(), error.to_string()));
            Vec::new()
        });
        for name in names.into_iter().filter(|name| name.as_bytes().ends_with(b".yaml")) {
            let path = format!("{ATTACHMENTS_DIRECTORY}/{name}");
            match self.content(&path) {
                Ok(Some(content)) if name == NAME && is_ours(&content) => own = Own::Ours(content),
                Ok(Some(content)) => {
                    if name == NAME {
                        own = Own::Foreign("it was not written by hypermirror".to_owned());
                    }
                    files.registries_d.push((path, content));
                }
                Ok(None) => {}
                Err(error) => files.unusable = Some((path, error.to_string())),
            }
        }
        (files, own)
    }

    /// Writes or removes the agent's file atomically, if it differs. Nodes read it at each pull, so no reload is needed.
    ///
    /// # Errors
    /// [`WriteError`] for the failed step. The file is complete at any time.
    pub fn apply_attachments(&self, own: &Own, wanted: Option<&str>) -> Result<(), WriteError> {
        let found = match own {
            Own::Ours(content) => Some(content.as_slice()),
            Own::Absent => None,
            Own::Foreign(why) if wanted.is_some() => {
                let source = std::io::Error::other(why.clone());
                return Err(WriteError { step: format!("{NAME} is not overwritten"), source });
            }
            Own::Foreign(_) => return Ok(()),
        };
        if found == wanted.map(str::as_bytes) {
            return Ok(());
        }
        let step = format!("failed to open {ATTACHMENTS_DIRECTORY}");
        let directory = self.directory(ATTACHMENTS_DIRECTORY);
        let directory = directory.map_err(|source| WriteError { step: step.clone(), source })?;
        let directory = directory.ok_or_else(|| failed(step)(Errno::NOENT))?;
        match wanted {
            Some(text) => {
                remove(&directory, TEMPORARY)?;
                put(&directory, TEMPORARY, text.as_bytes())?;
                rename(&directory, TEMPORARY, NAME, found.is_some())?;
            }
            None => remove(&directory, NAME)?,
        }
        sync(&directory)
    }
}

fn is_ours(content: &[u8]) -> bool {
    content.strip_prefix(HEADER.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'\n'))
}
