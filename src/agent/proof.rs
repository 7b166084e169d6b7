//! Sees CRI-O read: no API of CRI-O tells which registries are in force, but a reload opens each file.
//!
//! What counts as read: the directory was opened, which lists what is in it, and then our file; where there is none any
//! more, the directory alone; where there is no directory either, registries.conf. The kernel does not say who opened: a
//! podman that starts within these two seconds is taken for CRI-O. That is why nothing of the agent itself looks at these
//! files while it waits; and they are judged before, so that read means accepted.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use futures::StreamExt as _;
use inotify::{EventMask, EventStream, Inotify, WatchMask};

use super::desired::DROP_IN_DIRECTORY;
use super::files::{CONTAINERS, Host};
use crate::mirrors::registries::DROP_IN;

/// Room for some events with the longest names.
pub const BUFFER: usize = 4_096;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    File,
    Directory,
    Main,
}

/// A watch that began before CRI-O was told.
pub struct Proof {
    events: EventStream<Vec<u8>>,
    awaited: Option<Awaited>,
}

impl Proof {
    /// Begins to watch. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no watch.
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
        // With no directory at all there is nothing to be read.
        Ok(Self { events, awaited: directory.map(|_| awaited) })
    }

    /// Waits until CRI-O has read.
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

/// A path by which the kernel finds an open directory again, whatever its name is now.
pub fn watch_path(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}
