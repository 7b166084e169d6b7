//! Finds the processes of an earlier run from their PID files, `DIRECTORY/CLUSTER/PROGRAM.pid`.

use std::{fmt, fs, io::ErrorKind, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::process::{Handle, Signal};

const GRACE: Duration = Duration::from_secs(10);

/// A process that was started by an earlier run and still runs.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The cluster's name, or `etcd`.
    pub(crate) cluster: String,
    pub(crate) program: String,
    pub(crate) handle: Handle,
}

impl Recorded {
    /// Waits until it has exited after SIGTERM, and kills it after a timeout.
    pub(crate) async fn end(self) -> Result<Self> {
        if !self.handle.ended_within(GRACE).await {
            self.handle.signal(Signal::KILL)?;
            ensure!(self.handle.ended_within(GRACE).await, "{self} does not exit");
        }
        Ok(self)
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{} (process {})", self.cluster, self.program, self.handle.id())
    }
}

/// The processes recorded below `directory` that still run, ordered by cluster and program.
pub(crate) fn running(directory: &Path) -> Result<Vec<Recorded>> {
    let mut found = Vec::new();
    for cluster in names(directory)? {
        for file in names(&directory.join(&cluster))? {
            let Some(program) = file.strip_suffix(".pid") else { continue };
            let path = directory.join(&cluster).join(&file);
            let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            let (id, start_time) = parse(&text).with_context(|| format!("{}: {text:?}", path.display()))?;
            if let Some(handle) = Handle::reopen(id, start_time)? {
                found.push(Recorded { cluster: cluster.clone(), program: program.to_owned(), handle });
            }
        }
    }
    Ok(found)
}

/// Removes the data of an earlier run.
pub(crate) fn forget(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// The names of a directory's entries, sorted. Empty if it is not a directory.
fn names(directory: &Path) -> Result<Vec<String>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("failed to list {}", directory.display()))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}

fn parse(text: &str) -> Option<(u32, u64)> {
    let (id, start_time) = text.trim().split_once(' ')?;
    Some((id.parse().ok()?, start_time.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_process_counts_as_running() {
        let directory = tempfile::tempdir().unwrap();
        let own = Handle::open(std::process::id()).unwrap().unwrap();
        let start_time = own.start_time().unwrap();
        for (cluster, start_time) in [("same", start_time), ("another", start_time + 1)] {
            fs::create_dir(directory.path().join(cluster)).unwrap();
            fs::write(directory.path().join(cluster).join("server.pid"), format!("{} {start_time}\n", own.id()))
                .unwrap();
        }
        let running = running(directory.path()).unwrap();
        assert_eq!(running.iter().map(|process| process.cluster.as_str()).collect::<Vec<_>>(), ["same"]);
    }

    #[test]
    fn forgetting_twice_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        forget(directory.path()).unwrap();
        forget(directory.path()).unwrap();
        assert!(running(directory.path()).unwrap().is_empty());
    }
}
