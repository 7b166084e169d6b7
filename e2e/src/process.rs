//! Child processes with a log file. Tests wait for their log lines or responses and stop them by their ID.

mod handle;

use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub use handle::Handle;
pub use rustix::process::Signal;
use serde_json::Value;

use crate::{binaries, endpoint, eventually};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// The variable with the ID of the process that the servers of `hack/testbed` watch. They exit when it exits.
const PARENT_VARIABLE: &str = "TESTBED_PARENT_PID";

/// A program to start, its arguments and its log file. Can be started several times.
#[derive(Debug, Clone)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    directory: PathBuf,
    detached: bool,
}

impl Launch {
    /// The current test program with one of its tests: `module` is the `module_path!()` of that test.
    ///
    /// # Errors
    ///
    /// If the program does not know its own path.
    pub fn own_test(name: &str, module: &str, test: &str, directory: impl Into<PathBuf>) -> Result<Self> {
        // A module path starts with the name of the program, the name of a test does not.
        let test = module.split_once("::").map_or_else(|| test.to_owned(), |(_, module)| format!("{module}::{test}"));
        Ok(Self::new(name, std::env::current_exe()?, directory).args(["--exact", &test, "--nocapture"]))
    }

    /// Describes a start of `program`. `directory` gets `name.log` (appended) and `name.pid`.
    pub fn new(name: &str, program: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: directory.into(),
            detached: false,
        }
    }

    /// Describes a start of the operator: `HYPERMIRROR_BIN`, or the `hypermirror` that was built with the test.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn operator(name: &str, directory: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self::new(name, binaries::operator()?, directory))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. All others are inherited.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Detaches the process: it continues to run when its `Process` is dropped and when this process exits.
    #[must_use]
    pub fn detached(mut self, detached: bool) -> Self {
        self.detached = detached;
        self
    }

    /// Whether it is detached.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the log file cannot be opened or the program cannot be started.
    pub fn spawn(&self) -> Result<Process> {
        let log_path = self.directory.join(format!("{}.log", self.name));
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("failed to open {}", log_path.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if self.detached {
            // Ctrl-C in the terminal must not stop it.
            command.process_group(0);
        } else {
            command.env(PARENT_VARIABLE, std::process::id().to_string());
        }
        let child = command.spawn().with_context(|| format!("failed to start {}", self.program.display()))?;
        let handle = Handle::open(child.id())?.context("the process has exited")?;
        let pid_path = self.directory.join(format!("{}.pid", self.name));
        std::fs::write(&pid_path, format!("{} {}\n", handle.id(), handle.start_time()?))?;
        Ok(Process { name: self.name.clone(), child, handle, log_path, detached: self.detached })
    }
}

/// A running child process. Dropping it stops it, unless it is detached.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    handle: Handle,
    log_path: PathBuf,
    detached: bool,
}

impl Process {
    /// The process, for its ID, start time and signals.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The file with its standard output and standard error.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Its log.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes =
            std::fs::read(&self.log_path).with_context(|| format!("failed to read {}", self.log_path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its exit status, if it has exited.
    ///
    /// # Errors
    ///
    /// If the kernel returns an error.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("failed to read the exit status of {}", self.name))
    }

    /// Stops it: SIGTERM, and SIGKILL after a timeout.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.handle.terminate()?;
        if self.handle.ended_within(GRACE).await { Ok(self.child.wait()?) } else { self.kill() }
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.handle.signal(Signal::KILL)?;
        self.child.wait().with_context(|| format!("failed to wait for {}", self.name))
    }

    /// Waits until it has exited by itself.
    ///
    /// # Errors
    ///
    /// If it is still running after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        if !self.handle.ended_within(limit).await {
            bail!("{} still runs after {limit:?}", self.name);
        }
        Ok(self.child.wait()?)
    }

    /// Waits for a JSON log line with this `message` and returns its `field`, such as the address of a server with port 0. The
    /// field can be at the top level or below `fields`.
    ///
    /// # Errors
    ///
    /// If there is no such line within `limit`, or if the process exits before.
    pub async fn wait_for_log_field(&mut self, message: &str, field: &str, limit: Duration) -> Result<String> {
        let what = format!("{} logs {message:?} with {field:?}", self.name);
        eventually(limit, &what, async || {
            let log = self.log()?;
            let ended = self.exit_status()?;
            match (log.lines().rev().find_map(|line| log_field(line, message, field)), ended) {
                (Some(value), _) => Ok(Some(value)),
                (None, Some(status)) => bail!("it exited ({status}); its log:\n{}", tail(&log)),
                (None, None) => bail!("log:\n{}", tail(&log)),
            }
        })
        .await
    }

    /// Waits until `url` responds with 200.
    ///
    /// # Errors
    ///
    /// If it does not within `limit`.
    pub async fn wait_until_ready(&mut self, url: &str, limit: Duration) -> Result<()> {
        eventually(limit, &format!("{} responds with 200 on {url}", self.name), async || {
            if let Some(status) = self.exit_status()? {
                bail!("it exited ({status}); its log:\n{}", tail(&self.log()?));
            }
            let answer = endpoint::get(url).await?;
            anyhow::ensure!(answer.status == 200, "{answer:?}");
            Ok(Some(()))
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.detached || !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let asked = self.handle.terminate();
        if asked.is_ok() && self.handle.ended_within_blocking(GRACE) {
            _ = self.child.wait();
        } else {
            _ = self.kill();
        }
    }
}

/// The end of a log, short enough for an error message.
pub(crate) fn tail(log: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn log_field(line: &str, message: &str, field: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let part = |key: &str| line.get(key).or_else(|| line.get("fields")?.get(key));
    if part("message")? != message {
        return None;
    }
    match part(field)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
