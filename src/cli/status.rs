//! `status`: prints the fleet from the manager's reports: columns, a line about rollouts, and a tree.

mod branch;
mod coverage;
mod overview;
mod rollouts;
mod tree;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use hypermirror_api::{HostedClusterMirrorsStatus, MirrorCoverageStatus};
use jiff::Timestamp;
use serde_json::Value;

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

/// The coverage of each hosted cluster that is checked.
type Coverages = BTreeMap<String, MirrorCoverageStatus>;

/// Prints columns and tree.
pub async fn run(args: &StatusArgs) -> Result<ExitCode> {
    let input = args.input.load(Wanted { reports: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let mut fleet: Fleet = input.clusters.iter().map(|cluster| (ClusterKey::of(cluster).to_string(), None)).collect();
    for report in &input.reports {
        fleet.insert(ClusterKey::of(report).to_string(), report.status.clone());
    }
    let coverages: Coverages = input
        .coverages
        .iter()
        .filter_map(|coverage| Some((ClusterKey::of(coverage).to_string(), coverage.status.clone()?)))
        .collect();
    for key in coverages.keys() {
        fleet.entry(key.clone()).or_default();
    }
    if fleet.values().all(Option::is_none) {
        console::warning(
            "no reports found: the manager is not installed, or has not reconciled a HostedCluster yet (to install it: \
                         kubectl apply --server-side -k manifests/base)",
        );
    }
    match args.output.data() {
        Some(format) => console::print_data(&with_coverage(&fleet, &coverages)?, format)?,
        None if fleet.is_empty() => {}
        None => {
            let rollouts = rollouts::print(&fleet).unwrap_or_default();
            console::print(&format!(
                "{}{rollouts}\n{}",
                overview::print(&fleet),
                tree::print(&fleet, &coverages, Timestamp::now())
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The reports, each with the coverage of its hosted cluster if that is checked.
fn with_coverage(fleet: &Fleet, coverages: &Coverages) -> Result<BTreeMap<String, Value>> {
    let member = |(key, report): (&String, &Option<HostedClusterMirrorsStatus>)| {
        let mut value = serde_json::to_value(report)?;
        if let Some(coverage) = coverages.get(key) {
            value["coverage"] = serde_json::to_value(coverage)?;
        }
        Ok((key.clone(), value))
    };
    fleet.iter().map(member).collect()
}
