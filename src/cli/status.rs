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
use hypermirror_api::{HostedClusterMirrors, HostedClusterMirrorsStatus, MirrorCoverage, MirrorCoverageStatus};
use jiff::Timestamp;
use serde_json::Value;

use super::console::{self, Format};
use super::findings;
use super::input::{InputArgs, Wanted};
use hypermirror_api::ClusterKey;

pub use coverage::age;
pub use rollouts::summary as rollout_summary;
pub use tree::find;

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
    let clusters: Vec<ClusterKey> = input.clusters.iter().map(ClusterKey::of).collect();
    let (fleet, coverages) = gathered(&clusters, &input.reports, &input.coverages);
    if fleet.values().all(Option::is_none) {
        console::warning(
            "no reports found: the manager is not installed, or has not reconciled a HostedCluster yet (to install it: \
                         kubectl apply --server-side -k manifests/base)",
        );
    }
    match args.output.data() {
        Some(format) => console::print_data(&with_coverage(&fleet, &coverages)?, format)?,
        None if fleet.is_empty() => {}
        None => console::print(&printed(&fleet, &coverages))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn gathered(
    clusters: &[ClusterKey],
    reports: &[HostedClusterMirrors],
    coverages: &[MirrorCoverage],
) -> (Fleet, Coverages) {
    let mut fleet: Fleet = clusters.iter().map(|key| (key.to_string(), None)).collect();
    for report in reports {
        fleet.insert(ClusterKey::of(report).to_string(), report.status.clone());
    }
    let coverages: Coverages = coverages
        .iter()
        .filter_map(|coverage| Some((ClusterKey::of(coverage).to_string(), coverage.status.clone()?)))
        .collect();
    for key in coverages.keys() {
        fleet.entry(key.clone()).or_default();
    }
    (fleet, coverages)
}

fn printed(fleet: &Fleet, coverages: &Coverages) -> String {
    let rollouts = rollouts::print(fleet).unwrap_or_default();
    format!("{}{rollouts}\n{}", overview::print(fleet), tree::print(fleet, coverages, Timestamp::now()))
}

/// Columns and tree of these hosted clusters, with marks for the styles.
pub fn text(clusters: &[ClusterKey], reports: &[HostedClusterMirrors], coverages: &[MirrorCoverage]) -> String {
    let (fleet, coverages) = gathered(clusters, reports, coverages);
    printed(&fleet, &coverages)
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
