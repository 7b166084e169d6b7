//! `render`: prints what the manager or the agent would write.

mod boot;
mod control_plane;
mod guest;
mod node;
mod overrides;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum RenderCommand {
    /// Print the override map of each HostedCluster
    Overrides(overrides::OverridesArgs),
    /// Print the Deployments of the input with the entries that the manager adds
    ControlPlane(control_plane::ControlPlaneArgs),
    /// Print the objects that the manager applies in a guest cluster
    Guest(guest::GuestArgs),
    /// Print the ConfigMaps that nodes boot with (hypermirror.dev/node-delivery: Rollout)
    Boot(boot::BootArgs),
    /// Print the files that the agent writes on a node
    Node(node::NodeArgs),
}

pub async fn run(command: RenderCommand) -> Result<ExitCode> {
    match command {
        RenderCommand::Overrides(args) => overrides::run(&args).await?,
        RenderCommand::ControlPlane(args) => control_plane::run(&args).await?,
        RenderCommand::Guest(args) => guest::run(&args).await?,
        RenderCommand::Boot(args) => boot::run(&args).await?,
        RenderCommand::Node(args) => node::run(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
