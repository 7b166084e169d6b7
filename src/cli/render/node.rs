//! `render node`: prints the drop-in of a node, or its hosts.toml files, byte for byte.

use anyhow::{Context as _, Result};
use clap::Args;

use super::super::input::InputArgs;
use super::super::node::{self, NodeFiles, NodeRuntime, NodeScope};
use super::super::{console, findings};
use crate::mirrors::containerd::HOSTS_FILE;
use crate::mirrors::registries::render;

/// Flags of `render node`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror render node -f mirrors.yaml > 50-hypermirror.conf
  hypermirror render node -f mirrors.yaml --runtime containerd
  hypermirror render node -f hosted-clusters.yaml \\
    --hosted-cluster clusters/west --node-pool workers \\
    --registries-conf /etc/containers/registries.conf \\
    --registries-conf-dir /etc/containers/registries.conf.d")]
pub struct NodeArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    scope: NodeScope,
    #[command(flatten)]
    files: NodeFiles,
    /// Container runtime of the node; each hosts.toml of containerd follows its path
    #[arg(long, value_enum, default_value_t, value_name = "RUNTIME")]
    runtime: NodeRuntime,
}

/// Prints the file. Without mirrors the output is empty.
pub async fn run(args: &NodeArgs) -> Result<()> {
    let input = args.input.load(args.scope.wanted()).await?;
    findings::report_input(&input);
    let mirrors = node::mirrors(&input, &args.scope)?;
    findings::report(&mirrors.findings);
    if args.runtime == NodeRuntime::Containerd {
        let rendered = node::containerd_hosts(&mirrors.set, &args.files)?;
        let files = rendered.files.iter().map(|(registry, text)| format!("# {registry}/{HOSTS_FILE}\n{text}"));
        return Ok(console::print(&files.collect::<Vec<_>>().join("\n"))?);
    }
    let mut files = args.files.read()?;
    files.add(&mirrors.files);
    let foreign = files.foreign().context("the node's own files already break every pull")?;
    let rendered = render(&mirrors.set, &foreign)?;
    for note in &rendered.notes {
        console::warning(note);
    }
    Ok(console::print(rendered.text.as_deref().unwrap_or_default())?)
}
