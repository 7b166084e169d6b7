//! Notices changes of the node's files: no API tells them.

use std::io;
use std::os::unix::ffi::OsStrExt as _;

use futures::{FutureExt as _, StreamExt as _};
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};

use super::desired::DROP_IN_DIRECTORY;
use super::files::{CONTAINERS, Host, MISSPELT_DIRECTORY, USER_DIRECTORY};
use super::proof::{BUFFER, watch_path};

/// Looked through for changes; one that is missing is found when the one around it changes, or at the next slow look.
const DIRECTORIES: [&str; 5] = ["/etc", CONTAINERS, DROP_IN_DIRECTORY, MISSPELT_DIRECTORY, USER_DIRECTORY];

/// The watch.
pub struct FileWatch {
    events: EventStream<Vec<u8>>,
    /// The watch of /etc: of what happens there only its directory `containers` counts.
    etc: Option<WatchDescriptor>,
}

impl FileWatch {
    /// A watch of nothing yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives none.
    pub fn new() -> io::Result<Self> {
        Ok(Self { events: Inotify::init()?.into_event_stream(vec![0; BUFFER])?, etc: None })
    }

    /// Watches those directories that are there now; one that is watched already stays so.
    pub fn renew(&mut self, host: &Host) {
        let changes = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        for place in DIRECTORIES {
            let Ok(Some(directory)) = host.directory(place) else { continue };
            match self.events.watches().add(watch_path(&directory), changes) {
                Ok(watch) if place == "/etc" => self.etc = Some(watch),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(place, %error, "changes here are noticed late: the directory cannot be watched");
                }
            }
        }
    }

    /// Waits for changes that `counts` says yes to: the name in its directory, empty for the directory itself.
    ///
    /// # Errors
    /// If the watch fails.
    pub async fn changed(&mut self, counts: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let mut found = false;
        while !found {
            let mut next = self.events.next().await;
            // All that is there at once: nothing of it is a reason of its own to look again.
            while let Some(event) = next {
                let event = event?;
                let name = event.name.as_deref().map_or(&[] as &[u8], |name| name.as_bytes());
                let in_etc = self.etc.as_ref() == Some(&event.wd);
                found |= if in_etc { name == b"containers" } else { counts(name) };
                next = self.events.next().now_or_never().flatten();
            }
        }
        Ok(())
    }
}
