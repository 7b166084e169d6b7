//! The command line: one file for each command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::manager::ManagerOptions;
use crate::telemetry::logs;

/// Image mirrors for HyperShift fleets: one deterministic map, reported and explained
#[derive(Debug, Parser)]
#[command(name = "hypermirror", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the manager on the management cluster
    Manager(Box<ManagerOptions>),
}

/// Runs one command.
///
/// # Errors
/// Whatever stops the command; `main` prints it.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Manager(options) => {
            let telemetry = logs::start(options.log_format)?;
            let result = crate::manager::run(*options).await;
            telemetry.shutdown();
            result.map(|()| ExitCode::SUCCESS)
        }
    }
}
