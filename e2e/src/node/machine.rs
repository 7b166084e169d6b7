//! The machine of a node: processes that see only each other, and the usual paths of a node below one directory.
//!
//! `hack/testbed/cmd/machine` makes it. When it ends, the kernel takes every process and every mount in it.

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

/// Nothing of the caller's environment: a proxy, a home directory or a registries.conf of his would decide pulls.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Namespaces of its own for processes and mounts. Dropping it ends all that runs in them.
#[derive(Debug)]
pub(super) struct Machine {
    directory: PathBuf,
    first: u32,
    detached: bool,
    // Ends the machine when it is dropped.
    process: Process,
}

impl Machine {
    /// Starts one with its files below `directory`; its log and its process id lie beside that.
    pub(super) async fn start(servers: &Servers, directory: &Path, detached: bool) -> Result<Self> {
        let beside = directory.parent().context("a machine's directory has a parent")?;
        let name = directory.file_name().context("a machine's directory has a name")?.to_string_lossy();
        std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let launch = Launch::new(&format!("machine-{name}"), servers.find("machine")?, beside).arg(directory);
        let mut process = launch.detached(detached).spawn()?;
        let first = process.wait_for_log_field("machine is up", "pid", START_LIMIT).await?;
        Ok(Self { directory: directory.to_owned(), first: first.parse()?, detached, process })
    }

    /// Where the files are that processes in it see at `path`.
    pub(super) fn outside(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn handle(&self) -> &Handle {
        self.process.handle()
    }

    /// The ids of its processes, as they are known outside. Containers may have a namespace of their own within its.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let namespace = |id: u32| std::fs::read_link(format!("/proc/{id}/ns/pid"));
        let own = namespace(self.first).context("the machine is gone")?;
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

    /// Ends it with all that runs in it; blocks the thread, for destructors.
    pub(super) fn end(&self) {
        // What cannot be asked is killed when it is dropped.
        if self.process.handle().ask_to_end().is_ok() {
            self.process.handle().ended_within_blocking(GRACE);
        }
    }

    /// A program to be started in it.
    pub(super) fn launch(&self, name: &str, program: &Path, environment: &[&str]) -> Launch {
        Launch::new(name, "nsenter", &self.directory)
            .args(self.entrance(environment))
            .arg(program)
            // It goes with the machine, and not with a Ctrl-C.
            .detached(true)
    }

    /// A command to be run in it to its end.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entrance(&[])).arg(program).args(args).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What stands before a program: the way in, and SIGHUP as a daemon finds it. A parent that ignores it would pass that on.
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
        let handle = handle.with_context(|| format!("it ended at once: {}", entrance.log().unwrap_or_default()))?;
        Ok(Inmate { entrance, handle, detached: self.detached })
    }
}

/// Field 4 of /proc/ID/stat, counted from behind the name.
fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A process in the machine of a node. Dropping it ends it, and so does the end of the node.
#[derive(Debug)]
pub struct Inmate {
    // nsenter, which waits for it: a new namespace of processes is for children only.
    entrance: Process,
    handle: Handle,
    detached: bool,
}

impl Inmate {
    /// The process itself, by its id outside.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether it runs.
    ///
    /// # Errors
    ///
    /// When it has ended: with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.entrance.exit_status()? {
            Some(status) => bail!("it ended ({status}); its log:\n{}", crate::process::tail(&self.entrance.log()?)),
            None => Ok(()),
        }
    }

    /// What it has logged so far.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        self.entrance.log()
    }

    /// Stops it, so that it answers nobody; or lets it go on.
    ///
    /// # Errors
    ///
    /// When the signal is refused.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        if frozen {
            return self.handle.signal(Signal::STOP);
        }
        self.handle.signal(Signal::CONT)?;
        // nsenter stops itself with its child.
        self.entrance.handle().signal(Signal::CONT)
    }

    /// Ends it by a signal and waits until it is gone; it is killed if it does not comply.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
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
        // It ends with its child; nobody else waits for it.
        self.entrance.handle().ended_within_blocking(GRACE);
        _ = self.entrance.exit_status();
    }
}
