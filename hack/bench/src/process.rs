//! Reads memory and CPU time of a process from the kernel.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// Memory of a process, in MB of 1,000,000 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Resident memory, including file pages that other processes share.
    pub resident: f64,
    /// Peak resident memory.
    pub peak: f64,
    /// Resident memory, with shared pages divided by the number of processes that share them.
    pub proportional: f64,
    /// Resident pages that are not shared.
    pub private: f64,
    /// Resident anonymous pages, including changed copies of file pages.
    pub anonymous: f64,
    /// Resident pages of the program's code.
    pub code: f64,
    /// Resident pages of the program's constants, including relocated ones.
    pub constants: f64,
}

impl Memory {
    /// Reads the memory of a process.
    ///
    /// # Errors
    /// If the process does not exist or belongs to another user.
    pub fn of(process: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).context(path)
        };
        let (maps, status) = (read("smaps")?, read("status")?);
        let program = fs::read_link(format!("/proc/{process}/exe"))?;
        Ok(Self { peak: field(&status, "VmHWM:").unwrap_or_default(), ..Self::of_maps(&maps, &program) })
    }

    fn of_maps(maps: &str, program: &Path) -> Self {
        let mut memory = Self::default();
        let mut mapping = Mapping::Other;
        for line in maps.lines() {
            if let Some(next) = Mapping::parse(line, program) {
                mapping = next;
            } else if let Some(size) = field(line, "Rss:") {
                memory.resident += size;
                match mapping {
                    Mapping::Code => memory.code += size,
                    Mapping::Constants => memory.constants += size,
                    Mapping::Other => {}
                }
            } else if let Some(size) = field(line, "Pss:") {
                memory.proportional += size;
            } else if let Some(size) = field(line, "Private_Clean:").or_else(|| field(line, "Private_Dirty:")) {
                memory.private += size;
            } else if let Some(size) = field(line, "Anonymous:") {
                memory.anonymous += size;
            }
        }
        memory
    }
}

/// How often the memory is read. The peak never shrinks: the last reading lacks only what came after it.
const INTERVAL: Duration = Duration::from_millis(5);

/// Runs a program to its end and returns its peak memory, in MB of 1,000,000 bytes.
///
/// # Errors
/// If it cannot be started, fails, or ends before its memory was read.
pub async fn peak_of(command: &mut Command) -> Result<f64> {
    let mut child = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let process = child.id().context("it has ended already")?;
    let mut peak = 0.0_f64;
    let status = loop {
        if let Ok(status) = timeout(INTERVAL, child.wait()).await {
            break status?;
        }
        // Between the end of the process and its being waited for there is nothing to read.
        if let Ok(memory) = Memory::of(process) {
            peak = peak.max(memory.peak);
        }
    };
    ensure!(status.success(), "{status}");
    (peak > 0.0).then_some(peak).context("it ended before its memory was read")
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, peak, proportional, private, anonymous, code, constants } = self;
        write!(f, "{resident:.1} MB resident (at most {peak:.1}): {anonymous:.1} anonymous, ")?;
        write!(f, "{code:.1} of code, {constants:.1} of constants; ")?;
        write!(f, "{proportional:.1} proportional, {private:.1} private")
    }
}

enum Mapping {
    Code,
    Constants,
    Other,
}

impl Mapping {
    /// The first line of a mapping: `ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH`.
    fn parse(line: &str, program: &Path) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (_, permissions) = (words.next().filter(|word| word.contains('-'))?, words.next()?);
        let is_program = words.nth(3).is_some_and(|path| Path::new(path) == program);
        Some(match permissions {
            "r-xp" if is_program => Self::Code,
            "r--p" if is_program => Self::Constants,
            _ => Self::Other,
        })
    }
}

/// The value of a line `NAME: 12 kB`.
fn field(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1_000_000.0)
}

/// CPU time of all current threads of a process, with a finer resolution than the ticks of `stat`.
///
/// # Errors
/// If the process does not exist.
pub fn processor_time(process: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_apart_by_what_they_are() {
        let maps = "1000-2000 r-xp 00000000 fe:00 1 /bin/program\nRss: 1000 kB\nPss: 500 kB\nPrivate_Clean: 0 kB\n\
                    Anonymous: 0 kB\n2000-3000 r--p 00000000 fe:00 1 /bin/program\nRss: 100 kB\nPrivate_Dirty: 50 kB\n\
                    Anonymous: 50 kB\n3000-4000 rw-p 00000000 00:00 0\nRss: 10 kB\nPss: 10 kB\nAnonymous: 10 kB\n";
        let memory = Memory::of_maps(maps, Path::new("/bin/program"));
        let kibibytes = |value: f64| format!("{:.0}", value * 1_000_000.0 / 1024.0);
        assert_eq!([memory.resident, memory.code, memory.constants].map(kibibytes), ["1110", "1000", "100"]);
        assert_eq!([memory.proportional, memory.private, memory.anonymous].map(kibibytes), ["510", "50", "60"]);
    }
}
