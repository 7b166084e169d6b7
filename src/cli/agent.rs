//! `hypermirror agent`, which is also a program of its own: `hypermirror-agent`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use super::Usage;
use crate::agent::options::AgentAction;
use crate::agent::{AgentOptions, cleanup};
use crate::telemetry::logs;

/// Writes a node's mirrors to registries.conf.d and reloads CRI-O
#[derive(Debug, Parser)]
#[command(name = "hypermirror-agent", version, propagate_version = true)]
struct Agent {
    #[command(flatten)]
    options: AgentOptions,
}

/// The program `hypermirror-agent`, for its man pages.
pub(super) fn command() -> clap::Command {
    Agent::command()
}

/// Parses the command line of the program `hypermirror-agent`.
///
/// # Errors
/// Bad usage, help or version, as a `clap::Error`.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<AgentOptions, clap::Error> {
    Ok(Agent::try_parse_from(words)?.options)
}

/// Runs the agent, or removes the files that it wrote.
///
/// # Errors
/// The error that ended it. [`Usage`] results in exit code 2.
pub async fn run(options: &AgentOptions) -> anyhow::Result<ExitCode> {
    let node = match (&options.action, &options.node_name) {
        (None, None) => return Err(Usage::error("the name of the node is required: set --node-name or NODE_NAME")),
        (_, node) => node.as_deref().unwrap_or_default(),
    };
    let telemetry = logs::start(options.log_format)?;
    let result = match options.action {
        Some(AgentAction::Cleanup) => cleanup::run(&options.paths).await,
        None => crate::agent::run(options, node).await,
    };
    telemetry.shutdown();
    result.map(|()| ExitCode::SUCCESS)
}
