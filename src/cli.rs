//! The command line: one file for each command.

pub mod agent;
mod answer;
mod catalogs;
mod check;
mod completion;
mod console;
mod copy;
mod coverage;
mod crd;
mod dashboard;
mod diff;
mod dump;
mod explain;
mod findings;
mod forget;
mod guest;
mod hops;
mod input;
mod list_file;
mod man;
mod migrate;
mod node;
mod planning;
mod progress;
mod registry;
mod render;
mod scan;
pub mod start;
mod status;
mod table;
mod uninstall;
mod usage;
mod why;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::agent::AgentOptions;
use crate::manager::ManagerOptions;
use crate::registry_manager::RegistryManagerOptions;
use crate::telemetry::logs;
pub use usage::Usage;

/// Applies image mirrors to the control planes, guest clusters and nodes of a HyperShift fleet
#[derive(Debug, Parser)]
#[command(name = "hypermirror", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The namespace of the manager in `manifests/base`.
const MANAGER_NAMESPACE: &str = "hypermirror-system";

const EXIT_CODES: &str = "Exit codes: 0 done; 1 findings, changes or a failure; 2 bad usage.\n\
                          With -f, commands read manifests; without it, they read the live cluster.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the manager on the management cluster
    Manager(Box<ManagerOptions>),
    /// Run the registry-manager, which scans image registries
    RegistryManager(Box<RegistryManagerOptions>),
    /// Run the agent on a node: write its mirrors to registries.conf.d and reload CRI-O
    Agent(Box<AgentOptions>),
    /// Print what the manager or the agent would write
    #[command(subcommand)]
    Render(render::RenderCommand),
    /// Print where images are pulled from, in order, and which objects declare them
    Explain(explain::ExplainArgs),
    /// Print every finding about the manifests or the cluster
    Check(check::CheckArgs),
    /// Print what the manager would change now
    Diff(diff::DiffArgs),
    /// Print the state of the fleet from the manager's reports
    Status(status::StatusArgs),
    /// Show the fleet in the browser, or write it as HTML files
    Dashboard(Box<dashboard::DashboardArgs>),
    /// Print whether registries hold what releases, hosted clusters or lists need
    Coverage(Box<coverage::CoverageArgs>),
    /// Copy images between registries, OCI layouts and archives
    Copy(Box<copy::CopyArgs>),
    /// Print why a pod cannot pull its images, and the cure
    Why(Box<why::WhyArgs>),
    /// Print a repository's tags with digests, sizes and platforms
    Scan(Box<scan::ScanArgs>),
    /// Write a support bundle without secrets
    Dump(Box<dump::DumpArgs>),
    /// Print the CRDs as YAML, or a patch for HyperShift's CRD
    Crd(crd::CrdArgs),
    /// Convert ImageContentSourcePolicies to ImageDigestMirrorSets
    Migrate(migrate::MigrateArgs),
    /// Remove mirrors of a kind whose CRD was deleted on purpose
    Forget(forget::ForgetArgs),
    /// Remove hypermirror from one hosted cluster or from all, and wait for completion
    Uninstall(uninstall::UninstallArgs),
    /// Print the completion script of a shell
    Completion(completion::CompletionArgs),
    /// Write the man pages to a directory
    Man(man::ManArgs),
}

impl Cli {
    /// The threads that the command runs on.
    pub fn threads(&self) -> start::Threads {
        if matches!(self.command, Command::Agent(_)) { start::Threads::One } else { start::Threads::Many }
    }
}

/// Parses the command line. If the program's name is `kubectl-hypermirror`, messages call it `kubectl hypermirror`.
///
/// # Errors
/// Bad usage, help or version, as a `clap::Error`.
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

/// Runs one command.
///
/// # Errors
/// The error that made the command fail. [`Usage`] results in exit code 2.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Manager(options) => {
            let telemetry = logs::start(options.log_format)?;
            let result = crate::manager::run(*options).await;
            telemetry.shutdown();
            result.map(|()| ExitCode::SUCCESS)
        }
        Command::RegistryManager(options) => {
            let telemetry = logs::start_at(options.log_format, options.log_level)?;
            let result = Box::pin(crate::registry_manager::run(*options)).await;
            telemetry.shutdown();
            result.map(|()| ExitCode::SUCCESS)
        }
        Command::Agent(options) => agent::run(&options).await,
        Command::Render(command) => render::run(command).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Diff(args) => diff::run(&args).await,
        Command::Status(args) => status::run(&args).await,
        Command::Dashboard(args) => Box::pin(dashboard::run(&args)).await,
        Command::Coverage(args) => coverage::run(&args).await,
        Command::Copy(args) => copy::run(&args).await,
        Command::Why(args) => why::run(&args).await,
        Command::Scan(args) => scan::run(&args).await,
        Command::Dump(args) => dump::run(&args).await,
        Command::Migrate(args) => migrate::run(&args).await,
        Command::Forget(args) => forget::run(&args).await,
        Command::Uninstall(args) => uninstall::run(&args).await,
        Command::Crd(args) => crd::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
