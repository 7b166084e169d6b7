//! Observes whether CRI-O loads the files. CRI-O has no API for its current registries, but a reload opens each file.
//!
//! A reload is complete when the directory and then the agent's file were opened. Without the file, the directory is
//! sufficient, and without the directory, registries.conf. The kernel does not report which process opens a file, so a podman
//! that starts in these two seconds is mistaken for CRI-O. The agent itself does not open these files while it waits. It
//! validates them before, so that an opened file is also accepted.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use futures::StreamExt as _;
use inotify::{EventMask, EventStream, Inotify, WatchMask};

use super::desired::DROP_IN_DIRECTORY;
use super::files::{CONTAINERS, Host};
use crate::mirrors::registries::DROP_IN;

/// Space for several events with names of maximum length.
pub const BUFFER: usize = 4_096;

/// The next expected event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    File,
    Directory,
    Main,
}

/// A watch that starts before CRI-O is reloaded.
pub struct Proof {
    events: EventStream<Vec<u8>>,
    awaited: Option<Awaited>,
}

impl Proof {
    /// Starts the watch. Requires a tokio runtime.
    ///
    /// # Errors
    /// If the watch cannot be created.
    pub fn begin(host: &Host) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let (directory, awaited) = match host.directory(DROP_IN_DIRECTORY)? {
            Some(directory) => {
                let ours = rustix::fs::statat(&directory, DROP_IN, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
                (Some(directory), if ours.is_ok() { Awaited::File } else { Awaited::Directory })
            }
            None => (host.directory(CONTAINERS)?, Awaited::Main),
        };
        if let Some(directory) = &directory {
            inotify.watches().add(watch_path(directory), WatchMask::OPEN)?;
        }
        let events = inotify.into_event_stream(vec![0; BUFFER])?;
        // Without any directory there is nothing to load.
        Ok(Self { events, awaited: directory.map(|_| awaited) })
    }

    /// Waits until CRI-O has loaded the files.
    ///
    /// # Errors
    /// If the watch fails.
    pub async fn seen(&mut self) -> io::Result<()> {
        let Some(awaited) = self.awaited else { return Ok(()) };
        let mut is_listed = false;
        while let Some(event) = self.events.next().await {
            let event = event?;
            let name = event.name.as_deref();
            is_listed |= name.is_none() && event.mask.contains(EventMask::OPEN);
            let is_it = match awaited {
                Awaited::File => is_listed && name.is_some_and(|name| name == DROP_IN),
                Awaited::Directory => is_listed,
                Awaited::Main => name.is_some_and(|name| name == "registries.conf"),
            };
            if is_it {
                return Ok(());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A path for an open directory that is valid even if the directory is renamed.
pub fn watch_path(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}
