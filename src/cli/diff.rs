//! `diff`: prints the changes that the manager would make now.

mod changes;
mod text;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use kube::ResourceExt as _;

use super::console::{self, Format};
use super::input::{Input, InputArgs, Wanted};
use super::planning::{ClusterPlan, Planner};
use super::{catalogs, findings};
use crate::fleet::removal::{FleetMember, mass_removal};
use crate::manager::options::PlanOptions;
use changes::{CatalogChanges, ClusterChanges};
use hypermirror_api::ClusterKey;

/// Flags of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror diff
  hypermirror diff -f examples/disconnected
Exit code: 0 if nothing would change, 1 if something would change.")]
pub struct DiffArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    plan: PlanOptions,
    /// Maximum percentage of hosted clusters whose maps may become empty without approval
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    max_removal: u8,
    /// Namespace of the manager's Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = super::MANAGER_NAMESPACE)]
    namespace: String,
    /// Output format; json and yaml contain the JSON patches
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Prints the changes.
pub async fn run(args: &DiffArgs) -> Result<ExitCode> {
    let specs = args.plan.targets();
    let wanted = Wanted {
        targets: &specs,
        reports: true,
        pools: true,
        lease_namespace: Some(&args.namespace),
        ..Wanted::default()
    };
    let input = args.input.load(wanted).await?;
    findings::report_input(&input);
    if input.clusters.is_empty() {
        console::warning("the input has no HostedCluster: nothing to compare");
    }
    let planner = Planner::new(&input, &args.plan, true);
    let remaining = input.clusters.iter().filter(|cluster| cluster.metadata.deletion_timestamp.is_none());
    let plans: Vec<ClusterPlan> = remaining.map(|cluster| planner.plan(cluster)).collect();
    let plan_findings = plans.iter().flat_map(|plan| plan.map.findings.iter());
    findings::report(planner.management.findings.iter().chain(plan_findings));
    for plan in &plans {
        findings::report_plan(plan);
    }
    let held = held_removals(&input, &plans, args.max_removal);
    let mut changed = Vec::new();
    for plan in &plans {
        let mut of_cluster = ClusterChanges::new(&input, plan, held.contains(&plan.key.to_string()))?;
        of_cluster.catalogs = of_catalogs(&input, plan, &args.plan);
        changed.extend(Some(of_cluster).filter(ClusterChanges::is_any));
    }
    match args.output.data() {
        Some(format) => console::print_data(&changed, format)?,
        None => console::print(&text::print(&changed))?,
    }
    let pending = changed.iter().filter(|changes| changes.held.is_none() && changes.has_writes()).count();
    console::note(format!("{pending} of {} HostedClusters would change", input.clusters.len()));
    Ok(if pending > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The changes of the OLM catalogs of one hosted cluster.
fn of_catalogs(input: &Input, plan: &ClusterPlan, options: &PlanOptions) -> Vec<CatalogChanges> {
    let cluster = input.clusters.iter().find(|cluster| ClusterKey::of(*cluster) == plan.key);
    let written = cluster.map(|cluster| catalogs::written(input, cluster, options)).unwrap_or_default();
    let namespace = plan.key.control_plane_namespace();
    written.into_iter().map(|difference| CatalogChanges::new(namespace.clone(), difference)).collect()
}

/// The hosted clusters of a mass removal, for which the manager waits for approval.
fn held_removals(input: &Input, plans: &[ClusterPlan], limit_percent: u8) -> Vec<String> {
    let in_care = plans.iter().filter(|plan| !plan.leaving);
    let members = in_care.map(|plan| {
        let mut observed = plan.plan.targets.iter().filter_map(|target| target.observed.as_ref());
        let annotated = observed.any(|observed| observed.overrides.as_ref().is_some_and(|value| !value.is_empty()));
        let report = input.reports.iter().find(|report| {
            report.name_any() == plan.key.name && report.namespace().as_deref() == Some(&plan.key.namespace)
        });
        let reported = report.and_then(|report| report.status.as_ref()).is_some_and(|status| status.source_count > 0);
        FleetMember {
            key: plan.key.to_string(),
            has_map: annotated || reported,
            wants_none: plan.map.map.entries.is_empty(),
        }
    });
    mass_removal(members, limit_percent).map(|held| held.emptied).unwrap_or_default()
}
