//! `render`: what is made of the mirrors, without writing it anywhere.

mod boot;
mod control_plane;
mod guest;
mod node;
mod overrides;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// What is rendered.
#[derive(Debug, Subcommand)]
pub enum RenderCommand {
    /// Print the override map of the management cluster and of each HostedCluster
    Overrides(overrides::OverridesArgs),
    /// Print the Deployments of the input with our entries in them
    ControlPlane(control_plane::ControlPlaneArgs),
    /// Print the objects that a guest is given: mirrors, and the agent with what it needs
    Guest(guest::GuestArgs),
    /// Print the ConfigMaps by which nodes boot with their mirrors (hypermirror.dev/node-delivery: Rollout)
    Boot(boot::BootArgs),
    /// Print the drop-in of registries.conf.d that a node gets
    Node(node::NodeArgs),
}

/// Renders.
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
