//! The machine of a node: isolated processes, with the usual paths of a node below one directory.
//!
//! `hack/testbed/cmd/machine` creates it. When it ends, the kernel removes all its processes and mounts.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::process::Command;

use crate::{
    binaries::Servers,
    eventually,
    process::{Handle, Launch, Process, Signal},
};

const START_LIMIT: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(20);

/// The environment. That of the caller is not used, because its proxy, home directory or registries.conf would affect pulls.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Namespaces for processes and mounts. Dropping it stops all processes in them.
#[derive(Debug)]
pub(super) struct Machine {
    directory: PathBuf,
    first: u32,
    detached: bool,
    // Ends the machine when it is dropped.
    process: Process,
}

impl Machine {
    /// Starts a machine with its files below `directory`. Its log and its process ID are in the parent directory.
    pub(super) async fn start(servers: &Servers, directory: &Path, detached: bool) -> Result<Self> {
        let beside = directory.parent().context("a machine's directory has a parent")?;
        let name = directory.file_name().context("a machine's directory has a name")?.to_string_lossy();
        std::fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
        let launch = Launch::new(&format!("machine-{name}"), servers.find("machine")?, beside).arg(directory);
        let mut process = launch.detached(detached).spawn()?;
        let first = process.wait_for_log_field("machine is up", "pid", START_LIMIT).await?;
        Ok(Self { directory: directory.to_owned(), first: first.parse()?, detached, process })
    }

    /// The path outside the machine of a file at `path`.
    pub(super) fn outside(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn handle(&self) -> &Handle {
        self.process.handle()
    }

    /// The IDs of its processes outside the machine. Containers can have nested namespaces.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let namespace = |id: u32| std::fs::read_link(format!("/proc/{id}/ns/pid"));
        let own = namespace(self.first).context("the machine has ended")?;
        let names = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let all: Vec<u32> = names.collect();
        let mut found: Vec<u32> = all.iter().copied().filter(|id| namespace(*id).is_ok_and(|it| it == own)).collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = all.iter().filter(|id| parent_of(**id) == Some(parent) && !found.contains(id));
            let children: Vec<u32> = children.copied().collect();
            found.extend(children);
            next += 1;
        }
        Ok(found)
    }

    /// Stops it and all its processes. Blocks the thread, for destructors.
    pub(super) fn end(&self) {
        // If the signal fails, the process is killed on drop.
        if self.process.handle().terminate().is_ok() {
            self.process.handle().ended_within_blocking(GRACE);
        }
    }

    /// Describes a program to start in it.
    pub(super) fn launch(&self, name: &str, program: &Path, environment: &[&str]) -> Launch {
        Launch::new(name, "nsenter", &self.directory)
            .args(self.entrance(environment))
            .arg(program)
            // It ends with the machine and not with Ctrl-C.
            .detached(true)
    }

    /// Describes a command to run in it.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entrance(&[])).arg(program).args(args).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// The prefix of a command: enters the machine and resets SIGHUP, which would otherwise be ignored if the parent ignores it.
    fn entrance(&self, environment: &[&str]) -> Vec<String> {
        let target = format!("--target={}", self.first);
        let way =
            [&target, "--mount", "--pid", "--ipc", "--", "env", "--ignore-environment", "--default-signal=HUP", PATH];
        way.iter().chain(environment).map(|part| (*part).to_owned()).collect()
    }

    /// Starts a program that [`Machine::launch`] described.
    pub(super) async fn spawn(&self, launch: &Launch) -> Result<Inmate> {
        let mut entrance = launch.spawn()?;
        let children = format!("/proc/{0}/task/{0}/children", entrance.handle().id());
        let handle = eventually(START_LIMIT, "a process in the machine", async || {
            if entrance.exit_status()?.is_some() {
                return Ok(Some(None));
            }
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            let id = text.split_whitespace().next().ok_or_else(|| anyhow!("no child yet"))?;
            Ok(Handle::open(id.parse()?)?.map(Some))
        })
        .await?;
        let handle =
            handle.with_context(|| format!("it exited immediately: {}", entrance.log().unwrap_or_default()))?;
        Ok(Inmate { entrance, handle, detached: self.detached })
    }
}

/// Field 4 of /proc/ID/stat, counted from after the name.
fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A process in the machine of a node. Dropping it, or the end of the node, stops it.
#[derive(Debug)]
pub struct Inmate {
    // The process of nsenter, which waits for it: only children are in the new PID namespace.
    entrance: Process,
    handle: Handle,
    detached: bool,
}

impl Inmate {
    /// The process, by its ID outside the machine.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether it runs.
    ///
    /// # Errors
    ///
    /// If it has exited. The error has the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.entrance.exit_status()? {
            Some(status) => bail!("it exited ({status}); its log:\n{}", crate::process::tail(&self.entrance.log()?)),
            None => Ok(()),
        }
    }

    /// Its log.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn log(&self) -> Result<String> {
        self.entrance.log()
    }

    /// Freezes or resumes it.
    ///
    /// # Errors
    ///
    /// If the signal is refused.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        if frozen {
            return self.handle.signal(Signal::STOP);
        }
        self.handle.signal(Signal::CONT)?;
        // nsenter stops itself with its child.
        self.entrance.handle().signal(Signal::CONT)
    }

    /// Sends a signal and waits until it has exited. It is killed after a timeout.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled.
    pub async fn end(mut self, signal: Signal) -> Result<()> {
        self.handle.signal(signal)?;
        self.freeze(false)?;
        if !self.handle.ended_within(GRACE).await {
            self.handle.signal(Signal::KILL)?;
        }
        self.entrance.ended(GRACE).await.map(|_| ())
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        let asked = self.handle.signal(Signal::TERM).and_then(|()| self.freeze(false));
        if asked.is_err() || !self.handle.ended_within_blocking(GRACE) {
            _ = self.handle.signal(Signal::KILL);
        }
        // It exits with its child. No other code waits for it.
        self.entrance.handle().ended_within_blocking(GRACE);
        _ = self.entrance.exit_status();
    }
}
