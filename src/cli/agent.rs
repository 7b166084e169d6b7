//! `hypermirror agent`.

use std::process::ExitCode;

use super::Usage;
use crate::agent::options::AgentAction;
use crate::agent::{AgentOptions, cleanup};
use crate::telemetry::logs;

/// Runs the agent, or removes the files that it wrote.
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
