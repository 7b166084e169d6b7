//! The command line: one file for each command.

mod completion;
mod console;
mod crd;
mod findings;
mod input;
mod planning;
mod render;
mod usage;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use hypermirror_api::annotations;

use crate::kube::ClusterKey;
use crate::manager::ManagerOptions;
use crate::telemetry::logs;
pub use console::error;
pub use usage::Usage;

/// Image mirrors for HyperShift fleets: one deterministic map, reported and explained
#[derive(Debug, Parser)]
#[command(name = "hypermirror", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 findings, changes or a failure; 2 bad usage.\n\
                          Commands with -f read manifests and need no cluster; without it they read the live one.";

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the manager on the management cluster
    Manager(Box<ManagerOptions>),
    /// Print what is made of the mirrors: maps, Deployments, a node's file
    #[command(subcommand)]
    Render(render::RenderCommand),
    /// Print the CRDs as YAML, or the patch for HyperShift's
    Crd(crd::CrdArgs),
    /// Print the completion of a shell
    Completion(completion::CompletionArgs),
}

/// Parses the command line; as `kubectl-hypermirror` it speaks of itself as `kubectl hypermirror`.
///
/// # Errors
/// Bad usage, help and version: `clap::Error::exit` does what is to be done.
pub fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let words: Vec<_> = words.into_iter().collect();
    let own_name = words.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    let mut command = Cli::command();
    if own_name.is_some_and(|name| name == "kubectl-hypermirror") {
        command = command.bin_name("kubectl hypermirror");
    }
    let matches = command.try_get_matches_from(words)?;
    Cli::from_arg_matches(&matches)
}

/// A value of `management-mirrors` that means nothing.
fn unknown_setting(key: &ClusterKey, value: &str) -> String {
    let annotation = annotations::MANAGEMENT_MIRRORS;
    format!("HostedCluster/{key}: annotation {annotation} is {value:?}; it is Use or Ignore, and counts as Use")
}

/// Runs one command.
///
/// # Errors
/// Whatever stops the command; `main` prints it. [`Usage`] means exit code 2.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Manager(options) => {
            let telemetry = logs::start(options.log_format)?;
            let result = crate::manager::run(*options).await;
            telemetry.shutdown();
            result.map(|()| ExitCode::SUCCESS)
        }
        Command::Render(command) => render::run(command).await,
        Command::Crd(args) => crd::run(&args),
        Command::Completion(args) => completion::run(&args),
    }
}
