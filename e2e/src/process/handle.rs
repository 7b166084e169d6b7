//! A process, identified by its file descriptor, so that signals never reach another process that reuses its ID.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::eventually;

/// Interval of checks whether a process has exited.
const INTERVAL: Duration = Duration::from_millis(10);

/// A process, which may have exited or be started by another program.
#[derive(Debug)]
pub struct Handle {
    id: u32,
    descriptor: OwnedFd,
}

impl Handle {
    /// The process that currently has this ID, if there is one.
    ///
    /// # Errors
    ///
    /// If the kernel returns another error.
    pub fn open(id: u32) -> Result<Option<Self>> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(|| anyhow!("{id} is not a process ID"))?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(Self { id, descriptor })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to open process {id}")),
        }
    }

    /// The process with this ID and start time, if it still runs.
    ///
    /// # Errors
    ///
    /// As [`Handle::open`].
    pub fn reopen(id: u32, start_time: u64) -> Result<Option<Self>> {
        // Open it before reading its start time, so that both belong to the same process.
        let handle = Self::open(id)?;
        Ok(handle.filter(|handle| handle.start_time().is_ok_and(|found| found == start_time)))
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its start time in clock ticks since boot. Together with the ID, it identifies the process.
    ///
    /// # Errors
    ///
    /// If it has exited.
    pub fn start_time(&self) -> Result<u64> {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.id)).context("failed to read the start time")?;
        start_time(&stat).ok_or_else(|| anyhow!("start time of process {}: {stat:?}", self.id))
    }

    /// Sends a signal. It is not an error if the process has already exited.
    ///
    /// # Errors
    ///
    /// If the signal is refused.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("failed to signal process {}", self.id)),
        }
    }

    /// Freezes it and waits until each of its threads has stopped: the signal returns earlier, and a thread that still runs on
    /// another processor could answer one more request.
    ///
    /// # Errors
    ///
    /// If the signal is refused, or if the threads have not stopped within ten seconds.
    pub async fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        eventually(Duration::from_secs(10), &format!("process {} is frozen", self.id), async || {
            Ok(self.threads()?.all(|state| state == Some('T')).then_some(()))
        })
        .await
    }

    /// The states of its threads, as proc(5) names them.
    fn threads(&self) -> Result<impl Iterator<Item = Option<char>>> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id)).context("failed to list the threads")?;
        // A thread that has ended since then has no file any more.
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        Ok(stats.map(|stat| stat.rsplit_once(')')?.1.trim_start().chars().next()))
    }

    /// Sends SIGTERM, and resumes it if it is frozen.
    ///
    /// # Errors
    ///
    /// If the signal is refused.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)
    }

    /// Whether it exited within `limit`.
    pub async fn ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        // Poll, because waiting for a foreign file descriptor with tokio requires unsafe code.
        while !self.ended_within_blocking(Duration::ZERO) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        true
    }

    /// Whether it exited within `limit`. Blocks the thread, for destructors.
    pub fn ended_within_blocking(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
            match poll(&mut descriptors, timeout.as_ref()) {
                Ok(ended) => return ended > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Field 22 of /proc/ID/stat. Field 2, the name, can contain spaces and parentheses, so counting starts after it.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_a_name_with_parentheses() {
        let stat = "7 (a) (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200";
        assert_eq!(start_time(stat), Some(98765));
    }

    #[test]
    fn this_process_runs_and_a_free_id_does_not() {
        let own = Handle::open(std::process::id()).unwrap().unwrap();
        assert!(!own.ended_within_blocking(Duration::ZERO));
        let start_time = own.start_time().unwrap();
        assert!(Handle::reopen(own.id(), start_time).unwrap().is_some());
        assert!(Handle::reopen(own.id(), start_time + 1).unwrap().is_none());
        // Linux never gives out an id above 2^22.
        assert!(Handle::open(1 << 22).unwrap().is_none());
    }
}
