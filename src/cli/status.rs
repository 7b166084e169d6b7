//! `status`: prints the fleet from the manager's reports: columns, a line about rollouts, and a tree.

mod overview;
mod rollouts;
mod tree;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use hypermirror_api::HostedClusterMirrorsStatus;

use super::console::{self, Format};
use super::findings;
use super::input::{InputArgs, Wanted};
use hypermirror_api::ClusterKey;

/// Flags of `status`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror status
  kubectl get hostedclustermirrors -A -o yaml | hypermirror status -f -")]
pub struct StatusArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Each hosted cluster with its report, if it has one.
type Fleet = BTreeMap<String, Option<HostedClusterMirrorsStatus>>;

/// Prints columns and tree.
pub async fn run(args: &StatusArgs) -> Result<ExitCode> {
    let input = args.input.load(Wanted { reports: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let mut fleet: Fleet = input.clusters.iter().map(|cluster| (ClusterKey::of(cluster).to_string(), None)).collect();
    for report in &input.reports {
        fleet.insert(ClusterKey::of(report).to_string(), report.status.clone());
    }
    if fleet.values().all(Option::is_none) {
        console::warning(
            "no reports found: the manager is not installed, or has not reconciled a HostedCluster yet (to install it: \
                         kubectl apply --server-side -k manifests/base)",
        );
    }
    match args.output.data() {
        Some(format) => console::print_data(&fleet, format)?,
        None if fleet.is_empty() => {}
        None => {
            let rollouts = rollouts::print(&fleet).unwrap_or_default();
            console::print(&format!("{}{rollouts}\n{}", overview::print(&fleet), tree::print(&fleet)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
