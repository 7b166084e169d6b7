//! A small fleet in files, and the binary.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What the management cluster declares.
pub const MIRRORS: &str = include_str!("fleet/mirrors.yaml");
/// Two HostedClusters: one with mirrors of its own, one that ignores those of the management cluster.
pub const CLUSTERS: &str = include_str!("fleet/clusters.yaml");
/// The Deployments of the first one's control plane, and one of somebody else.
pub const DEPLOYMENTS: &str = include_str!("fleet/deployments.yaml");

/// The first one's NodePools, and where nodes reach its API server.
pub const POOLS: &str = include_str!("fleet/pools.yaml");

/// How the binary ended.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Ran {
    /// The output of a run that did well.
    #[track_caller]
    pub fn out(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// The messages of a run that ended with this code and printed nothing.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        self.stderr
    }
}

/// A directory with files.
pub struct Files(TempDir);

impl Files {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        Self(dir)
    }

    /// The small fleet.
    pub fn fleet() -> Self {
        Self::new(&[("1.yaml", CLUSTERS), ("2.yaml", MIRRORS), ("3.yaml", DEPLOYMENTS)])
    }

    /// Writes one file anew.
    pub fn write(&mut self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the binary in the directory.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs the binary in the directory with this stdin.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Ran {
        run_as(Path::new(env!("CARGO_BIN_EXE_hypermirror")), self.path(), arguments, stdin)
    }
}

/// Runs a program without the environment's clusters and colours.
pub fn run_as(program: &Path, directory: &Path, arguments: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}
