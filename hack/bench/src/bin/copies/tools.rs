//! The programs that copy: ours and those beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::{operator, repository_root};
use tokio::process::Command;

/// What is copied: tags of repositories, from one registry to another, below `PREFIX`.
pub struct Work<'a> {
    /// Host and port of the source.
    pub source: &'a str,
    /// Host and port of the destination.
    pub destination: &'a str,
    /// Repository and tags.
    pub images: &'a [(String, Vec<String>)],
}

/// The repositories of the destination are below this path.
pub const PREFIX: &str = "mirror";

/// A program that copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `hypermirror copy`
    Hypermirror,
    /// `skopeo sync`
    Skopeo,
    /// `regsync once`
    Regsync,
    /// `crane copy`, of one whole repository
    Crane,
}

impl Tool {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hypermirror => "hypermirror copy",
            Self::Skopeo => "skopeo sync --all",
            Self::Regsync => "regsync once, parallel 16",
            Self::Crane => "crane cp -a -j32",
        }
    }

    /// The time in which it copies this.
    pub async fn run(self, work: &Work<'_>, directory: &Path) -> Result<Duration> {
        let mut command = self.command(work, directory)?;
        // No cache and no credentials of whoever runs the benchmark.
        command.env("HOME", directory).current_dir(directory).kill_on_drop(true);
        let begin = Instant::now();
        let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
        let time = begin.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}: {said}", self.name(), output.status);
        Ok(time)
    }

    fn command(self, work: &Work<'_>, directory: &Path) -> Result<Command> {
        match self {
            Self::Hypermirror => hypermirror(work),
            Self::Skopeo => skopeo(work, &directory.join("skopeo.yaml")),
            Self::Regsync => regsync(work, &directory.join("regsync.yaml")),
            Self::Crane => crane(work),
        }
    }
}

fn hypermirror(&Work { source, destination, images }: &Work<'_>) -> Result<Command> {
    let mut command = Command::new(operator()?);
    command.args(["copy", "--plain-http"]);
    for (repository, tags) in images {
        command.args(tags.iter().map(|tag| format!("{source}/{repository}:{tag}")));
    }
    command.arg(format!("{destination}/{PREFIX}/"));
    Ok(command)
}

fn skopeo(&Work { source, destination, images }: &Work<'_>, list: &Path) -> Result<Command> {
    let mut text = format!("{source}:\n  tls-verify: false\n  images:\n");
    for (repository, tags) in images {
        writeln!(text, "    {repository}: {}", serde_json::to_string(tags)?)?;
    }
    std::fs::write(list, text)?;
    let mut command = Command::new("skopeo");
    command.args(["sync", "--all", "--dest-tls-verify=false", "--src", "yaml", "--dest", "docker"]);
    command.arg(list).arg(format!("{destination}/{PREFIX}"));
    Ok(command)
}

fn regsync(&Work { source, destination, images }: &Work<'_>, list: &Path) -> Result<Command> {
    let mut text = String::from("version: 1\ncreds:\n");
    for host in [source, destination] {
        writeln!(text, "- registry: {host}\n  tls: disabled\n  reqConcurrent: 16")?;
    }
    text.push_str("defaults:\n  parallel: 16\nsync:\n");
    for (repository, tags) in images {
        writeln!(text, "- source: {source}/{repository}\n  target: {destination}/{PREFIX}/{repository}")?;
        writeln!(text, "  type: repository\n  tags:\n    allow: {}", serde_json::to_string(tags)?)?;
    }
    std::fs::write(list, text)?;
    let mut command = Command::new(tested("regsync")?);
    command.arg("once").arg("--config").arg(list);
    Ok(command)
}

fn crane(&Work { source, destination, images }: &Work<'_>) -> Result<Command> {
    let (repository, _) = images.first().context("no repository")?;
    let mut command = Command::new(tested("crane")?);
    command.args(["copy", "--insecure", "--all-tags", "--jobs=32"]);
    command.arg(format!("{source}/{repository}")).arg(format!("{destination}/{PREFIX}/{repository}"));
    Ok(command)
}

/// A program of the test bed.
fn tested(name: &str) -> Result<PathBuf> {
    let path = repository_root().join("target/testbed/bin").join(name);
    ensure!(path.is_file(), "no {}: run hack/registries/build and hack/bench/rivals/build", path.display());
    Ok(path)
}
