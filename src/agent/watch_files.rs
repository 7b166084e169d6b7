//! Watches the node's files for changes by other programs.

use std::io;
use std::os::unix::ffi::OsStrExt as _;

use futures::{FutureExt as _, StreamExt as _};
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};

use super::files::Host;
use super::proof::{BUFFER, watch_path};

/// The watch.
pub struct FileWatch {
    events: EventStream<Vec<u8>>,
    /// The watch of /etc, where only changes of the directory `containers` are relevant.
    etc: Option<WatchDescriptor>,
}

impl FileWatch {
    /// Creates an empty watch. Requires a tokio runtime.
    ///
    /// # Errors
    /// If the watch cannot be created.
    pub fn new() -> io::Result<Self> {
        Ok(Self { events: Inotify::init()?.into_event_stream(vec![0; BUFFER])?, etc: None })
    }

    /// Adds watches for the directories that exist and are not watched yet. A missing one is noticed when its parent changes, or at
    /// the next resync.
    pub fn renew(&mut self, host: &Host, directories: &[String]) {
        let changes = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        for place in directories {
            let Ok(Some(directory)) = host.directory(place) else { continue };
            match self.events.watches().add(watch_path(&directory), changes) {
                Ok(watch) if place == "/etc" => self.etc = Some(watch),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(place, %error, "failed to watch a directory; its changes are noticed with a delay of up to 30 s");
                }
            }
        }
    }

    /// Waits for a change for which `counts` returns true. Its argument is the name of the file, or empty for the directory
    /// itself.
    ///
    /// # Errors
    /// If the watch fails.
    pub async fn changed(&mut self, counts: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let mut found = false;
        while !found {
            let mut next = self.events.next().await;
            // Take all queued events, because one pass covers all of them.
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
